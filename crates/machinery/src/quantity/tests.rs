use super::*;
use proptest::prelude::*;

fn canonical(text: &str) -> String {
    Quantity::parse(text).map_or_else(|error| error.to_string(), |quantity| quantity.to_string())
}

#[test]
fn canonical_forms_are_upstreams() {
    let cases = [
        ("0", "0"),
        ("0Gi", "0"),
        ("100m", "100m"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("0.5", "500m"),
        ("1.5Gi", "1536Mi"),
        ("1024Mi", "1Gi"),
        ("1023", "1023"),
        ("1024Ki", "1Mi"),
        ("512Ki", "512Ki"),
        ("0.5Ki", "512"),
        ("0.1Ki", "102400m"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("1000e0", "1e3"),
        ("12e6", "12e6"),
        ("1000k", "1M"),
        ("1000000", "1M"),
        ("1E", "1E"),
        ("-1500m", "-1500m"),
        ("+5", "5"),
        ("1.", "1"),
        (".5", "500m"),
        ("0.0000000001", "1n"),
        ("8Ei", "9223372036854775807"),
        ("1Ki", "1Ki"),
        ("1000Ki", "1000Ki"),
        ("3.1415926535", "3141592654n"),
        ("129e6", "129e6"),
        ("123Mi", "123Mi"),
        ("1000E", "1e21"),
        ("12e100", "120e99"),
        ("-5e40", "-50e39"),
        ("100000E", "100e21"),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        ("123456789012345678901234567890123456789", "123456789012345678901234567890123456790"),
        ("1e-100", "1e-9"),
        ("9999999999999999999999999999999Ki", "9223372036854775807"),
    ];
    for (text, expected) in cases {
        assert_eq!(canonical(text), expected, "{text}");
    }
}

#[test]
fn some_texts_stay_as_they_are() {
    for (text, expected) in [
        ("+5", "+5"),
        ("007", "007"),
        ("1.500", "1.500"),
        ("1E3", "1E3"),
        ("1.5", "1500m"),
        ("1000", "1k"),
        ("+1000", "1k"),
        ("1028Mi", "1028Mi"),
        ("+1028Mi", "+1028Mi"),
        ("1024Mi", "1Gi"),
        ("0.500", "500m"),
        ("1234567890123456789", "1234567890123456789"),
        ("+1234567890123456789", "1234567890123456789"),
        (" 100m ", "100m"),
        ("-0", "0"),
    ] {
        assert_eq!(Quantity::canonical(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn the_largest_numbers_are_numbers() {
    let number = |text| Quantity::parse(text).unwrap();
    assert!(number("1e40") > number("9e39") && number("-1e40") < number("-9e39") && number("1e40") > number("1"));
    assert!(number("1e30") > number("-1e300") && number("1e300") > number("1e30"));
    assert_eq!((number("1e40") + number("1e40")).to_string(), "20e39");
    assert_eq!((number("1e40") - number("1e40")).to_string(), "0");
    assert_eq!((number("3e29") - number("2e29")).to_string(), "100e27");
    assert_eq!(number("1e28").times(1_000_000_000_000).to_string(), "10e39");
    assert_eq!((number("1e40").value(), number("-1e40").milli_value()), (i64::MAX, i64::MIN));
    assert!((number("1e40").as_f64() / 1e40 - 1.0).abs() < 1e-9);
}

#[test]
fn errors_are_upstreams() {
    for (text, error) in [
        ("", QuantityError::Format),
        ("1 Gi", QuantityError::Format),
        ("lots", QuantityError::Format),
        ("1gi", QuantityError::Format),
        ("1Kk", QuantityError::Suffix),
        ("1mm", QuantityError::Suffix),
        (".", QuantityError::Numeric),
    ] {
        assert_eq!(Quantity::parse(text).unwrap_err(), error, "{text}");
    }
}

#[test]
fn sums_and_scales() {
    let sum = Quantity::parse("1Gi").unwrap() + Quantity::parse("1024Mi").unwrap();
    assert_eq!(sum.to_string(), "2Gi");
    assert_eq!(Quantity::parse("1").unwrap() - Quantity::parse("250m").unwrap(), Quantity::from_milli(750));
    assert_eq!(Quantity::parse("100u").unwrap().milli_value(), 1);
    assert_eq!(Quantity::parse("1.1").unwrap().value(), 2);
    assert_eq!(Quantity::parse("-1.1").unwrap().value(), -2);
    assert_eq!(Quantity::from_bytes(512 << 20).to_string(), "512Mi");
}

proptest! {
    #[test]
    fn canonical_forms_read_back(text in "[+-]?[0-9]{1,20}(\\.[0-9]{0,12})?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e-?[0-9]{1,3})?") {
        let quantity = Quantity::parse(&text).unwrap();
        let again = Quantity::parse(&quantity.to_string()).unwrap();
        prop_assert_eq!(quantity, again);
        prop_assert_eq!(quantity.to_string(), again.to_string());
        let kept = Quantity::canonical(&text).unwrap();
        prop_assert_eq!(Quantity::parse(&kept).unwrap(), quantity);
        prop_assert_eq!(Quantity::canonical(&kept).unwrap(), kept);
    }

    #[test]
    fn anything_is_a_quantity_or_an_error(text in ".*") {
        let _ = Quantity::parse(&text);
    }
}
