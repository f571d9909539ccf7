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

/// All panels in one picture, two beside one another, with a line of small print.
pub(crate) fn draw(charts: &[&dyn Chart], foot: &str) -> String {
    let (width, height) = PANEL;
    let columns = charts.len().clamp(1, 2) as u32;
    let rows = charts.len().div_ceil(2) as u32;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (width * columns, height * rows + FOOT)).into_drawing_area();
        root.fill(&WHITE).expect("it can be drawn");
        let (panels, small_print) = root.split_vertically(height * rows);
        for (panel, chart) in panels.split_evenly((rows as usize, columns as usize)).iter().zip(charts) {
            chart.draw(panel);
        }
        let style = ("sans-serif", 11).into_font().color(&RGBColor(90, 90, 90));
        small_print.draw_text(foot, &style, (10, 5)).expect("it can be drawn");
        root.present().expect("it can be drawn");
    }
    svg
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
        let y = range(self.series.iter().flat_map(|(_, values)| values.iter().copied()), Axis::Linear);
        let y = with_room(y, Axis::Linear, self.series.len());
        let groups = self.groups.len() as f64;
        let mut chart = framed(area, &self.title).build_cartesian_2d(0.0..groups, y).expect("it can be drawn");
        let name = |x: &f64| self.groups.get((*x - 0.5).round() as usize).cloned().unwrap_or_default();
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh().disable_x_axis().light_line_style(TRANSPARENT).y_desc(&self.y);
        mesh.y_label_formatter(&short).draw().expect("it can be drawn");
        let width = 0.8 / self.series.len().max(1) as f64;
        for (at, (label, values)) in self.series.iter().enumerate() {
            let color = COLORS[at % COLORS.len()];
            let bars = values.iter().enumerate().map(|(group, value)| {
                let left = group as f64 + 0.1 + at as f64 * width;
                Rectangle::new([(left, 0.0), (left + width * 0.95, *value)], color.filled())
            });
            let bars = chart.draw_series(bars).expect("it can be drawn");
            bars.label(label).legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled()));
        }
        let names = (0..self.groups.len()).map(|group| {
            let style = ("sans-serif", 12).into_font().color(&BLACK);
            let style = style.pos(plotters::style::text_anchor::Pos::new(
                plotters::style::text_anchor::HPos::Center,
                plotters::style::text_anchor::VPos::Top,
            ));
            EmptyElement::at((group as f64 + 0.5, 0.0)) + Text::new(name(&(group as f64 + 0.5)), (0, 6), style)
        });
        chart.draw_series(names).expect("it can be drawn");
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
