//! The shortest digits of a float, which every language agrees on, laid out as each of them does.

use std::ops::Range;

/// `0.DIGITS × 10^point`, with the least digits that read back as the same float.
pub(super) struct Decimal {
    negative: bool,
    digits: String,
    point: i32,
}

impl Decimal {
    /// The digits of a finite float. Where two of the shortest are equally near, Python and JavaScript take the even one, as
    /// `serde_json` does, and as Rust's own formatting does not: `1125899906842624.25` ends in `.2`, not in `.3`.
    pub(super) fn of(float: f64) -> Self {
        let text = serde_json::Value::from(float.abs()).to_string();
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        let zeros = (all.len() - digits.len()) as i32;
        let point = exponent.parse::<i32>().unwrap_or_default() + whole.len() as i32 - zeros;
        match digits.trim_end_matches('0') {
            "" => Self { negative: float.is_sign_negative(), digits: "0".to_owned(), point: 1 },
            digits => Self { negative: float.is_sign_negative(), digits: digits.to_owned(), point },
        }
    }

    /// Without an exponent where the point is in this range, else with one.
    pub(super) fn text(&self, plain: Range<i32>, exponent_width: usize) -> String {
        let sign = if self.negative { "-" } else { "" };
        match plain.contains(&self.point) {
            true => format!("{sign}{}", self.plain()),
            false => format!("{sign}{}", self.scientific(exponent_width)),
        }
    }

    fn plain(&self) -> String {
        let (digits, count) = (&self.digits, self.digits.len());
        match usize::try_from(self.point) {
            Ok(point) if point >= count => format!("{digits}{}", "0".repeat(point - count)),
            Ok(point) if point > 0 => format!("{}.{}", &digits[..point], &digits[point..]),
            _ => format!("0.{}{digits}", "0".repeat(self.point.unsigned_abs() as usize)),
        }
    }

    fn scientific(&self, exponent_width: usize) -> String {
        let exponent = self.point - 1;
        let sign = if exponent < 0 { '-' } else { '+' };
        let (first, rest) = self.digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        format!("{first}{point}{rest}e{sign}{:0exponent_width$}", exponent.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_digits_are_laid_out() {
        let table = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (10.0, "10"),
            (-102.5, "-102.5"),
            (0.001, "0.001"),
            (0.0001, "1e-04"),
            (1000.0, "1e+03"),
            (1234.5, "1.2345e+03"),
            (1e23, "1e+23"),
            (5e-324, "5e-324"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
            (f64::from(1 << 25) * f64::from(1 << 25) + 0.25, "1.1258999068426242e+15"),
        ];
        for (float, text) in table {
            assert_eq!(Decimal::of(float).text(-2..4, 2), text);
        }
    }
}
