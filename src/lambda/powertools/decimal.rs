//! The shortest digits of a float, which every language agrees on, laid out as each of them does.

use std::ops::Range;

/// `0.DIGITS × 10^point`, with the least digits that read back as the same float.
pub(super) struct Decimal {
    negative: bool,
    digits: String,
    point: i32,
}

impl Decimal {
    /// The digits of a finite float.
    pub(super) fn of(float: f64) -> Self {
        let text = format!("{:e}", float.abs());
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let point = 1 + exponent.parse::<i32>().unwrap_or_default();
        Self { negative: float.is_sign_negative(), digits: digits.replace('.', ""), point }
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
