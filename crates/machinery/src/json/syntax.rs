//! Finds the first byte that is not JSON and says so as Go does. Only asked once decoding has failed.

use super::JsonError;

/// Go's decoder goes deeper; this is what the decoder here takes.
const DEPTH_MAX: usize = 128;

/// Checks a whole text.
pub(super) fn check(bytes: &[u8]) -> Result<(), JsonError> {
    let mut scanner = Scanner { bytes, at: 0 };
    scanner.value(0)?;
    scanner.space();
    match scanner.peek() {
        None => Ok(()),
        Some(_) => Err(scanner.unexpected("after top-level value")),
    }
}

/// How many bytes the value takes that a text begins with.
pub(super) fn value_length(bytes: &[u8]) -> Result<usize, JsonError> {
    let mut scanner = Scanner { bytes, at: 0 };
    scanner.value(0)?;
    Ok(scanner.at)
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The error that the byte here is, or that the text ends here.
    fn unexpected(&self, context: &str) -> JsonError {
        match self.peek() {
            None => JsonError { message: "unexpected end of JSON input".into(), offset: self.at },
            Some(byte) => {
                let shown = match byte {
                    b'\'' => "'\\''".to_owned(),
                    b'"' => "'\"'".to_owned(),
                    byte => {
                        let quoted = crate::go::quote(&char::from(byte).to_string());
                        format!("'{}'", quoted.trim_matches('"'))
                    }
                };
                JsonError { message: format!("invalid character {shown} {context}"), offset: self.at + 1 }
            }
        }
    }

    fn take(&mut self, wanted: impl Fn(u8) -> bool, context: &str) -> Result<(), JsonError> {
        if !self.peek().is_some_and(wanted) {
            return Err(self.unexpected(context));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth > DEPTH_MAX {
            return Err(JsonError { message: "exceeded max depth".into(), offset: self.at });
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("looking for beginning of object key string"));
            }
            self.string()?;
            self.space();
            self.take(|byte| byte == b':', "after object key")?;
            self.value(depth + 1)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.take(|byte| byte == b'}', "after object key:value pair"),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        self.at += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.take(|byte| byte == b']', "after array element"),
            }
        }
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    let unicode = self.peek() == Some(b'u');
                    self.take(|byte| br#""\/bfnrtu"#.contains(&byte), "in string escape code")?;
                    for _ in 0..if unicode { 4 } else { 0 } {
                        self.take(|byte| byte.is_ascii_hexdigit(), "in \\u hexadecimal character escape")?;
                    }
                }
                _ => self.take(|byte| byte >= 0x20, "in string literal")?,
            }
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), JsonError> {
        for (index, expected) in word.bytes().enumerate() {
            let expecting = format!("in literal {word} (expecting '{}')", char::from(expected));
            self.take(|byte| index == 0 || byte == expected, &expecting)?;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let zero = self.peek() == Some(b'0');
        self.take(|byte| byte.is_ascii_digit(), "in numeric literal")?;
        if !zero {
            self.digits();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.take(|byte| byte.is_ascii_digit(), "after decimal point in numeric literal")?;
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.take(|byte| byte.is_ascii_digit(), "in exponent of numeric literal")?;
            self.digits();
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }
}
