//! Numbers that may be percentages: `maxSurge: 25%` (apimachinery `util/intstr`).

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// How a percentage of a total becomes a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// To the next whole number above.
    Up,
    /// To the next whole number below.
    Down,
}

/// A number as it is, or a percentage of `total`.
///
/// # Errors
/// For text that is no percentage, with upstream's message.
pub fn scaled_value(value: &IntOrString, total: i32, round: Round) -> Result<i32, String> {
    match value {
        IntOrString::Int(number) => Ok(*number),
        IntOrString::String(text) => {
            let percent = percent(text)?;
            let product = i64::from(percent) * i64::from(total);
            let scaled = match round {
                Round::Up => -(-product).div_euclid(100),
                Round::Down => product.div_euclid(100),
            };
            Ok(i32::try_from(scaled).unwrap_or(if scaled < 0 { i32::MIN } else { i32::MAX }))
        }
    }
}

fn percent(text: &str) -> Result<i32, String> {
    let Some(number) = text.strip_suffix('%') else {
        return Err("invalid value for IntOrString: invalid type: string is not a percentage".into());
    };
    number.parse().map_err(|_| {
        let quoted = crate::go::quote(number);
        let text = crate::go::quote(text);
        format!("invalid value for IntOrString: invalid value {text}: strconv.Atoi: parsing {quoted}: invalid syntax")
    })
}

/// The text, or the number as text.
pub fn display(value: &IntOrString) -> String {
    match value {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    }
}

/// What a command line or an annotation means: a number where it is one, text otherwise.
pub fn parse(text: &str) -> IntOrString {
    text.parse().map_or_else(|_| IntOrString::String(text.into()), IntOrString::Int)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_as_asked() {
        let quarter = parse("25%");
        assert_eq!(scaled_value(&quarter, 10, Round::Up), Ok(3));
        assert_eq!(scaled_value(&quarter, 10, Round::Down), Ok(2));
        assert_eq!(scaled_value(&parse("5"), 10, Round::Down), Ok(5));
        assert_eq!(scaled_value(&parse("100%"), 3, Round::Up), Ok(3));
        assert!(scaled_value(&parse("x"), 3, Round::Up).is_err());
    }
}
