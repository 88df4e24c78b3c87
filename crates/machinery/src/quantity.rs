//! Exact resource quantities: `100m`, `1.5Gi`, `1e3` (apimachinery `api/resource`).

use std::cmp::Ordering;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

const NANOS: i128 = 1_000_000_000;
const SPLIT_FORMAT: &str = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$";

/// The family of suffixes a quantity prints with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `n u m k M G T P E`
    #[default]
    DecimalSi,
    /// `Ki Mi Gi Ti Pi Ei`
    BinarySi,
    /// `e3`
    DecimalExponent,
}

/// A number with nine decimal places, and how it prints. Smaller fractions are rounded up when read, as
/// upstream does; equality and order are those of the number.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// Text that is no quantity, in upstream's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number with a suffix.
    #[error("quantities must match the regular expression '{SPLIT_FORMAT}'")]
    Format,
    /// A number that cannot be read.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// A suffix of no family.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nanos: 0, format: Format::DecimalSi };

    /// A whole number.
    pub const fn new(value: i64, format: Format) -> Self {
        Self { nanos: value as i128 * NANOS, format }
    }

    /// A number of thousandths: `from_milli(1500)` is `1500m`.
    pub const fn from_milli(milli: i64) -> Self {
        Self { nanos: milli as i128 * (NANOS / 1000), format: Format::DecimalSi }
    }

    /// A number of bytes, which prints as `512Mi`.
    pub const fn from_bytes(bytes: i64) -> Self {
        Self::new(bytes, Format::BinarySi)
    }

    /// Reads a quantity.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            Some(_) => (false, text),
            None => return Err(QuantityError::Format),
        };
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, rest) = rest.split_at(digits(rest));
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(digits(rest)),
            None => ("", rest),
        };
        if !suffix_shape(suffix) {
            return Err(QuantityError::Format);
        }
        let (base, exponent, format) = interpret(suffix).ok_or(QuantityError::Suffix)?;
        if whole.is_empty() && fraction.is_empty() {
            return Err(QuantityError::Numeric);
        }
        let nanos = scaled(whole, fraction, base, exponent);
        let below_one = (1..NANOS).contains(&nanos);
        let (nanos, format) = match format {
            Format::BinarySi if below_one => (nanos, Format::DecimalSi),
            Format::BinarySi => (nanos.min(i128::from(i64::MAX) * NANOS), format),
            _ => (nanos, format),
        };
        Ok(Self { nanos: if negative { -nanos } else { nanos }, format })
    }

    /// Reads an optional quantity of an object; none, or one that cannot be read, is zero.
    pub fn of(text: Option<&Text>) -> Self {
        text.and_then(|text| Self::parse(&text.0).ok()).unwrap_or_default()
    }

    /// The number rounded up to a whole one.
    pub fn value(&self) -> i64 {
        self.scaled_up(NANOS)
    }

    /// The number in thousandths, rounded up.
    pub fn milli_value(&self) -> i64 {
        self.scaled_up(NANOS / 1000)
    }

    /// The number as a float, for ratios and charts.
    pub fn as_f64(&self) -> f64 {
        self.nanos as f64 / NANOS as f64
    }

    /// Division by `unit`, away from zero, as upstream rounds.
    fn scaled_up(&self, unit: i128) -> i64 {
        let (quotient, rest) = (self.nanos / unit, self.nanos % unit);
        let rounded = quotient + if rest == 0 { 0 } else { self.nanos.signum() };
        i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
    }

    /// The family of suffixes it prints with.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// -1, 0 or 1.
    pub fn signum(&self) -> i32 {
        self.nanos.signum() as i32
    }

    /// The number times a factor.
    pub fn times(self, factor: i64) -> Self {
        Self { nanos: self.nanos.saturating_mul(i128::from(factor)), ..self }
    }
}

fn suffix_shape(suffix: &str) -> bool {
    let rest = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    rest.bytes().all(|byte| byte.is_ascii_digit())
}

fn interpret(suffix: &str) -> Option<(u32, i32, Format)> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((10, *exponent, Format::DecimalSi));
    }
    if let Some((_, exponent)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Some((2, *exponent, Format::BinarySi));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((10, exponent, Format::DecimalExponent))
}

const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [(&str, i32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

/// `whole.fraction * base^exponent` in nanos, rounded up, as far as it fits.
fn scaled(whole: &str, fraction: &str, base: u32, exponent: i32) -> i128 {
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let first = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
    // 28 significant digits are more than nine decimal places of any i64; the rest only rounds up.
    let last = digits.len().min(first + 28);
    let mut value = digits[first..last].iter().fold(0i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    let mut lost = digits[last..].iter().any(|digit| *digit != b'0');
    let mut places = (digits.len() - last) as i64 - fraction.len() as i64 + 9;
    if base == 2 {
        // A factor of 2^60 could overflow 28 digits: shift, and give up decimal places that do not fit.
        for _ in 0..exponent {
            while value > i128::MAX / 2 {
                lost |= value % 10 != 0;
                value /= 10;
                places += 1;
            }
            value *= 2;
        }
    } else {
        places += i64::from(exponent);
    }
    if value == 0 {
        return 0;
    }
    while places > 0 {
        let Some(next) = value.checked_mul(10) else { return i128::MAX / 4 };
        value = next;
        places -= 1;
    }
    while places < 0 && value > 0 {
        lost |= value % 10 != 0;
        value /= 10;
        places += 1;
    }
    (value + i128::from(lost)).min(i128::MAX / 4)
}

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, the largest suffix that loses nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let whole = self.nanos / NANOS;
        let binary = self.format == Format::BinarySi && self.nanos % NANOS == 0 && !(-1023..=1023).contains(&whole);
        if binary {
            let (mut number, mut steps) = (whole, 0);
            while number % 1024 == 0 && steps < BINARY.len() {
                number /= 1024;
                steps += 1;
            }
            let suffix = steps.checked_sub(1).and_then(|step| BINARY.get(step)).map_or("", |(name, _)| name);
            return write!(f, "{number}{suffix}");
        }
        let (mut number, mut exponent) = (self.nanos, -9);
        while number % 1000 == 0 && exponent < 18 {
            number /= 1000;
            exponent += 3;
        }
        match self.format {
            Format::DecimalExponent if exponent == 0 => write!(f, "{number}"),
            Format::DecimalExponent => write!(f, "{number}e{exponent}"),
            _ => {
                let suffix = DECIMAL.iter().find(|(_, power)| *power == exponent).map_or("", |(name, _)| name);
                write!(f, "{number}{suffix}")
            }
        }
    }
}

impl std::str::FromStr for Quantity {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::parse(text)
    }
}

impl TryFrom<&Text> for Quantity {
    type Error = QuantityError;
    fn try_from(text: &Text) -> Result<Self, QuantityError> {
        Self::parse(&text.0)
    }
}

impl From<Quantity> for Text {
    fn from(quantity: Quantity) -> Self {
        Text(quantity.to_string())
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Add for Quantity {
    type Output = Self;
    /// The sum, in the format of the first that is not zero.
    fn add(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_add(other.nanos), format }
    }
}

impl Sub for Quantity {
    type Output = Self;
    /// The difference, in the format of the first that is not zero.
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Neg for Quantity {
    type Output = Self;
    fn neg(self) -> Self {
        Self { nanos: self.nanos.saturating_neg(), ..self }
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests;
