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
/// upstream does; equality and order are those of the number. Of the largest numbers, 38 digits are kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    /// The number is `nanos * 10^scale` billionths. As long as that fits, the scale is zero, and otherwise
    /// the smallest: each number has one form.
    nanos: i128,
    scale: u32,
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
    pub const ZERO: Self = Self { nanos: 0, scale: 0, format: Format::DecimalSi };

    /// A whole number.
    pub const fn new(value: i64, format: Format) -> Self {
        Self { nanos: value as i128 * NANOS, scale: 0, format }
    }

    /// A number of thousandths: `from_milli(1500)` is `1500m`.
    pub const fn from_milli(milli: i64) -> Self {
        Self { nanos: milli as i128 * (NANOS / 1000), scale: 0, format: Format::DecimalSi }
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
        let parts = Parts::of(text)?;
        let number = parts.number();
        let (nanos, scale) = (number.nanos, number.scale);
        let (nanos, scale, format) = match parts.format {
            Format::BinarySi if (1..NANOS).contains(&nanos) => (nanos, scale, Format::DecimalSi),
            Format::BinarySi if scale > 0 => (BINARY_MAX, 0, Format::BinarySi),
            Format::BinarySi => (nanos.min(BINARY_MAX), 0, Format::BinarySi),
            format => (nanos, scale, format),
        };
        Ok(Self { nanos: if parts.negative { -nanos } else { nanos }, scale, format })
    }

    /// A quantity's text as an object has it once it was read: in canonical form, or as it was where upstream
    /// does not look closer (`+1`, `1.500`, `1E3`).
    ///
    /// # Errors
    /// When it is none.
    pub fn canonical(text: &str) -> Result<String, QuantityError> {
        let text = text.trim();
        if Parts::of(text)?.stays() { Ok(text.to_owned()) } else { Ok(Self::parse(text)?.to_string()) }
    }

    /// `nanos * 10^scale` in its one form.
    fn normal(mut nanos: i128, mut scale: u32, format: Format) -> Self {
        if nanos == 0 {
            scale = 0;
        }
        while scale > 0
            && let Some(longer) = nanos.checked_mul(10)
        {
            (nanos, scale) = (longer, scale - 1);
        }
        Self { nanos, scale, format }
    }

    /// `nanos` at a larger scale; what is lost rounds away from zero.
    fn at_scale(self, scale: u32) -> i128 {
        let by = 10i128.checked_pow(scale - self.scale);
        by.map_or(self.nanos.signum(), |by| {
            self.nanos / by + if self.nanos % by == 0 { 0 } else { self.nanos.signum() }
        })
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
        self.nanos as f64 / NANOS as f64 * 10f64.powi(i32::try_from(self.scale).unwrap_or(i32::MAX))
    }

    /// Division by `unit`, away from zero, as upstream rounds.
    fn scaled_up(&self, unit: i128) -> i64 {
        if self.scale > 0 {
            return if self.nanos < 0 { i64::MIN } else { i64::MAX };
        }
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
        match self.nanos.checked_mul(i128::from(factor)) {
            Some(nanos) => Self { nanos, ..self },
            None => {
                // An i64 has nineteen digits.
                let scale = self.scale.saturating_add(20);
                Self::normal(self.at_scale(scale).saturating_mul(factor.into()), scale, self.format)
            }
        }
    }
}

/// The largest number with a binary suffix, in nanos.
const BINARY_MAX: i128 = i64::MAX as i128 * NANOS;

/// A quantity's text, taken apart.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    base: u32,
    exponent: i32,
    format: Format,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self, QuantityError> {
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
        Ok(Self { negative, whole, fraction, base, exponent, format })
    }

    /// `whole.fraction * base^exponent` without its sign, rounded up to nanos.
    fn number(&self) -> Quantity {
        const DIGITS_MAX: usize = 38;
        let digits: Vec<u8> = self.whole.bytes().chain(self.fraction.bytes()).collect();
        let first = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
        let last = digits.len().min(first + DIGITS_MAX);
        let mut value = digits[first..last].iter().fold(0i128, |value, digit| value * 10 + i128::from(digit - b'0'));
        let mut lost = digits[last..].iter().any(|digit| *digit != b'0');
        let mut places = (digits.len() - last) as i64 - self.fraction.len() as i64 + 9;
        let mut shorten = |value: &mut i128, places: &mut i64| {
            lost |= *value % 10 != 0;
            *value /= 10;
            *places += 1;
        };
        if self.base == 2 {
            for _ in 0..self.exponent {
                while value > i128::MAX / 2 {
                    shorten(&mut value, &mut places);
                }
                value *= 2;
            }
        } else {
            places += i64::from(self.exponent);
        }
        while places < 0 && value > 0 {
            shorten(&mut value, &mut places);
        }
        let scale = if value == 0 { 0 } else { u32::try_from(places).unwrap_or(0) };
        Quantity::normal(value.saturating_add(i128::from(lost)), scale, self.format)
    }

    /// Whether upstream keeps the text as it is: its quick way to read a quantity takes it, and a look at its
    /// end does not say that it has a shorter form.
    fn stays(&self) -> bool {
        let whole = self.whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let all = [whole, self.fraction].concat();
        let length = i32::try_from(all.len()).unwrap_or(i32::MAX);
        let Ok(value) = all.parse::<i64>() else { return false };
        if self.base == 2 {
            let precision = 15 - length - self.exponent * 3 / 10 - 1;
            let fits = value.checked_mul(1i64.checked_shl(self.exponent.unsigned_abs()).unwrap_or(0)).is_some();
            return self.fraction.is_empty() && precision >= 0 && fits && value & 7 != 0;
        }
        let scale = self.exponent.saturating_sub(i32::try_from(self.fraction.len()).unwrap_or(i32::MAX));
        let quick = length <= 18 && scale >= -9;
        quick && scale % 3 == 0 && !all.ends_with("000") && !all.starts_with('0')
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

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, the largest suffix that loses nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let whole = self.nanos / NANOS;
        let is_whole = self.scale == 0 && self.nanos % NANOS == 0;
        let binary = self.format == Format::BinarySi && is_whole && !(-1023..=1023).contains(&whole);
        if binary {
            let (mut number, mut steps) = (whole, 0);
            while number % 1024 == 0 && steps < BINARY.len() {
                number /= 1024;
                steps += 1;
            }
            let suffix = steps.checked_sub(1).and_then(|step| BINARY.get(step)).map_or("", |(name, _)| name);
            return write!(f, "{number}{suffix}");
        }
        let (mut number, mut exponent) = (self.nanos, i64::from(self.scale) - 9);
        while number % 10 == 0 {
            (number, exponent) = (number / 10, exponent + 1);
        }
        // Suffixes are three digits apart.
        let zeros = "0".repeat(exponent.rem_euclid(3) as usize);
        exponent -= exponent.rem_euclid(3);
        let suffix = DECIMAL.iter().find(|(_, power)| i64::from(*power) == exponent).map(|(name, _)| *name);
        match suffix {
            Some(suffix) if exponent == 0 || self.format != Format::DecimalExponent => {
                write!(f, "{number}{zeros}{suffix}")
            }
            // There is no suffix beyond E.
            _ => write!(f, "{number}{zeros}e{exponent}"),
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
        (self.nanos, self.scale) == (other.nanos, other.scale)
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
        let by_size = self.scale.cmp(&other.scale);
        let by_sign = self.nanos.signum().cmp(&other.nanos.signum());
        by_sign.then(if self.nanos < 0 { by_size.reverse() } else { by_size }).then(self.nanos.cmp(&other.nanos))
    }
}

impl Add for Quantity {
    type Output = Self;
    /// The sum, in the format of the first that is not zero.
    fn add(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        let scale = self.scale.max(other.scale);
        match self.at_scale(scale).checked_add(other.at_scale(scale)) {
            Some(nanos) => Self::normal(nanos, scale, format),
            None => {
                let scale = scale.saturating_add(1);
                Self::normal(self.at_scale(scale).saturating_add(other.at_scale(scale)), scale, format)
            }
        }
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
