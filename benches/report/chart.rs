//! Charts as SVG. No fonts are asked for but the reader's own, so a chart is the same on every machine.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

/// Told apart without their colours too, by their order in the legend (Okabe and Ito's palette).
const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
const PANEL: (u32, u32) = (520, 340);
const FOOT: u32 = 24;

/// One panel of a picture.
pub(crate) trait Chart {
    fn draw(&self, area: &Panel<'_>);
}

/// Where a panel is drawn.
pub(crate) type Panel<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// How values lie along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Linear,
    Log,
}

/// Values over values: a line for each of the named series.
pub(crate) struct Lines {
    pub(crate) title: String,
    pub(crate) x: (String, Axis),
    pub(crate) y: (String, Axis),
    pub(crate) series: Vec<(String, Vec<(f64, f64)>)>,
}

/// Values of groups: a bar for each of the named series in each group.
pub(crate) struct Bars {
    pub(crate) title: String,
    pub(crate) y: String,
    pub(crate) groups: Vec<String>,
    /// As many values as there are groups.
    pub(crate) series: Vec<(String, Vec<f64>)>,
}

/// The same where some values are many times as large as others.
pub(crate) struct LogBars(pub(crate) Bars);

/// All panels in one picture, two beside one another, with a line of small print.
pub(crate) fn draw(charts: &[&dyn Chart], foot: &str) -> String {
    let (width, height) = PANEL;
    let columns = charts.len().clamp(1, 2) as u32;
    let rows = charts.len().div_ceil(2) as u32;
    let mut svg = String::new();
    {
        let lines = lines(foot, columns);
        let size = (width * columns, height * rows + FOOT * lines.len() as u32);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).expect("it can be drawn");
        let (panels, small_print) = root.split_vertically(height * rows);
        for (panel, chart) in panels.split_evenly((rows as usize, columns as usize)).iter().zip(charts) {
            chart.draw(panel);
        }
        let style = ("sans-serif", 11).into_font().color(&RGBColor(90, 90, 90));
        for (number, line) in lines.iter().enumerate() {
            small_print.draw_text(line, &style, (10, 5 + 16 * number as i32)).expect("it can be drawn");
        }
        root.present().expect("it can be drawn");
    }
    svg
}

/// The small print, of which two panels have room for the whole, and one for half.
fn lines(foot: &str, columns: u32) -> Vec<&str> {
    let separators = foot.match_indices(" · ").map(|(at, _)| at);
    match separators.min_by_key(|at| at.abs_diff(foot.len() / 2)) {
        Some(middle) if columns == 1 => vec![&foot[..middle], foot[middle..].trim_start_matches(" · ")],
        _ => vec![foot],
    }
}

impl Chart for Lines {
    fn draw(&self, area: &Panel<'_>) {
        let points = || self.series.iter().flat_map(|(_, points)| points.iter().copied());
        let x = range(points().map(|(x, _)| x), self.x.1);
        let y = with_room(range(points().map(|(_, y)| y), self.y.1), self.y.1, self.series.len());
        match (self.x.1, self.y.1) {
            (Axis::Linear, Axis::Linear) => self.draw_on(area, x, y),
            (Axis::Linear, Axis::Log) => self.draw_on(area, x, y.log_scale()),
            (Axis::Log, Axis::Linear) => self.draw_on(area, x.log_scale(), y),
            (Axis::Log, Axis::Log) => self.draw_on(area, x.log_scale(), y.log_scale()),
        }
    }
}

impl Lines {
    fn draw_on<X, Y>(&self, area: &Panel<'_>, x: X, y: Y)
    where
        X: AsRangedCoord<Value = f64>,
        Y: AsRangedCoord<Value = f64>,
        X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let mut chart = framed(area, &self.title).build_cartesian_2d(x, y).expect("it can be drawn");
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(&self.x.0).y_desc(&self.y.0).light_line_style(TRANSPARENT).x_label_formatter(&short);
        // With more labels than these, those of a log axis overlap where it ends a little above a power of ten.
        mesh.x_labels(6).y_labels(6).y_label_formatter(&short).draw().expect("it can be drawn");
        for (at, (name, points)) in self.series.iter().enumerate() {
            let color = COLORS[at % COLORS.len()];
            let line = LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(3);
            let line = chart.draw_series(line).expect("it can be drawn");
            line.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color.stroke_width(3)));
        }
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).border_style(TRANSPARENT);
        labels.draw().expect("it can be drawn");
    }
}

impl Chart for Bars {
    fn draw(&self, area: &Panel<'_>) {
        let y = with_room(range(self.values(), Axis::Linear), Axis::Linear, self.series.len());
        self.draw_on(area, y, 0.0);
    }
}

impl Chart for LogBars {
    fn draw(&self, area: &Panel<'_>) {
        let y = range(self.0.values(), Axis::Log);
        // There is no zero to stand on, and the least bar is to be seen too.
        let foot = y.start / 2.0;
        let y = with_room(foot..y.end, Axis::Log, self.0.series.len() + 1);
        self.0.draw_on(area, y.log_scale(), foot);
    }
}

impl Bars {
    fn values(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        self.series.iter().flat_map(|(_, values)| values.iter().copied())
    }

    /// `foot` is the value that bars stand on.
    fn draw_on<Y>(&self, area: &Panel<'_>, y: Y, foot: f64)
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let groups = self.groups.len() as f64;
        let mut chart = framed(area, &self.title).build_cartesian_2d(0.0..groups, y).expect("it can be drawn");
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh().disable_x_axis().light_line_style(TRANSPARENT).y_desc(&self.y);
        mesh.y_label_formatter(&short).draw().expect("it can be drawn");
        let width = 0.8 / self.series.len().max(1) as f64;
        for (at, (label, values)) in self.series.iter().enumerate() {
            let color = COLORS[at % COLORS.len()];
            let bars = values.iter().enumerate().map(|(group, value)| {
                let left = group as f64 + 0.1 + at as f64 * width;
                Rectangle::new([(left, foot), (left + width * 0.95, *value)], color.filled())
            });
            let bars = chart.draw_series(bars).expect("it can be drawn");
            bars.label(label).legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled()));
        }
        let names = self.groups.iter().enumerate().map(|(group, name)| {
            let style = ("sans-serif", 12).into_font().color(&BLACK);
            let style = style.pos(plotters::style::text_anchor::Pos::new(
                plotters::style::text_anchor::HPos::Center,
                plotters::style::text_anchor::VPos::Top,
            ));
            EmptyElement::at((group as f64 + 0.5, foot)) + Text::new(name.clone(), (0, 6), style)
        });
        chart.draw_series(names).expect("it can be drawn");
        if self.series.len() == 1 {
            return;
        }
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperRight).background_style(WHITE.mix(0.8)).border_style(TRANSPARENT);
        labels.draw().expect("it can be drawn");
    }
}

fn framed<'a, 'b>(area: &'a Panel<'b>, title: &str) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut chart = ChartBuilder::on(area);
    chart.caption(title, ("sans-serif", 16)).margin(10).x_label_area_size(40).y_label_area_size(56);
    chart
}

/// From below the least to above the greatest value, or from 0 where they lie evenly.
fn range(values: impl Iterator<Item = f64> + Clone, axis: Axis) -> std::ops::Range<f64> {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let greatest = values.fold(f64::NEG_INFINITY, f64::max);
    match axis {
        Axis::Linear => 0.0..greatest * 1.15,
        Axis::Log => least * 0.8..greatest * 1.6,
    }
}

/// With room for a legend of so many lines, which else would hide what stands behind it.
fn with_room(range: std::ops::Range<f64>, axis: Axis, lines: usize) -> std::ops::Range<f64> {
    let part = 0.06 * lines as f64;
    match axis {
        Axis::Linear => range.start..range.end * (1.0 + part),
        Axis::Log => range.start..range.end * (range.end / range.start).powf(part),
    }
}

/// A number in few characters.
fn short(value: &f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{}M", round(value / 1e6)),
        size if size >= 1e4 => format!("{}k", round(value / 1e3)),
        _ => round(*value),
    }
}

fn round(value: f64) -> String {
    let digits = if value.abs() >= 100.0 { 0 } else { 2 };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
