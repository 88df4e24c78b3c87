//! `$(VAR)` in commands, arguments and environment values.

/// Replaces `$(NAME)` by what `lookup` gives; `$$` is a dollar sign, and a reference that is unknown
/// or has no end stays as it is.
pub fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = rest.find('$') {
        let (before, from) = rest.split_at(position);
        out.push_str(before);
        let after = &from[1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match lookup(name) {
                Some(value) => out.push_str(&value),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_expand_as_documented() {
        let cases = [
            ("$(A)", "x"),
            ("a-$(A)-$(B)", "a-x-y"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$x"),
            ("$(MISSING)", "$(MISSING)"),
            ("$(A", "$(A"),
            ("$A", "$A"),
            ("$", "$"),
            ("$()", "$()"),
        ];
        for (text, expanded) in cases {
            let lookup = |name: &str| match name {
                "A" => Some("x".to_string()),
                "B" => Some("y".to_string()),
                _ => None,
            };
            assert_eq!(expand(text, lookup), expanded, "{text}");
        }
    }
}
