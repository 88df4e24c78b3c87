//! `-o go-template`: Go's `text/template` as far as it goes on JSON.

mod eval;
mod functions;
mod parse;

use serde_json::Value;

use parse::Node;

/// A template of Go's `text/template`.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
    nodes: Vec<Node>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// In Go's words.
    pub fn parse(source: &str) -> Result<Self, String> {
        Ok(Self { source: source.to_owned(), nodes: parse::parse(source)? })
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text for an object as far as it comes, and what ended it, in Go's words. Missing keys print as
    /// `<no value>`, or are such an error if that is not allowed.
    pub fn render(&self, root: &Value, allow_missing: bool) -> (String, Option<String>) {
        eval::render(&self.source, &self.nodes, root, allow_missing)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(template: &str, expected: &str) {
        let object = json!({
            "kind": "List",
            "items": [
                { "metadata": { "name": "a", "labels": { "x": "1", "y": "2" } }, "n": 1, "ok": true },
                { "metadata": { "name": "b" }, "n": 20, "ok": false },
            ],
        });
        let got = match Template::parse(template).map(|template| template.render(&object, true)) {
            Ok((text, None)) => text,
            Ok((_, Some(error))) | Err(error) => error,
        };
        assert_eq!(got, expected, "{template}");
    }

    #[test]
    fn templates() {
        check("{{.kind}}", "List");
        check("{{range .items}}{{.metadata.name}}{{\"\\n\"}}{{end}}", "a\nb\n");
        check("{{range $i, $e := .items}}{{$i}}={{$e.n}} {{end}}", "0=1 1=20 ");
        check("{{range .items}}{{if .ok}}{{.metadata.name}}{{else}}-{{end}}{{end}}", "a-");
        check("{{if eq .kind \"List\"}}yes{{end}}", "yes");
        check("{{with index .items 1}}{{.metadata.name}}{{end}}", "b");
        check("{{(index .items 0).metadata.name}}", "a");
        check("{{len .items}}", "2");
        check("{{.missing}}", "<no value>");
        check("a {{- .kind -}} b", "aListb");
        check("{{/* nothing */}}x", "x");
        check("{{range .items}}{{range $k, $v := .metadata.labels}}{{$k}}:{{$v}},{{end}}{{end}}", "x:1,y:2,");
        check("{{$x := .kind}}{{printf \"%s-%d %q\" $x 3 \"q\"}}", "List-3 \"q\"");
        check("{{range .nothing}}x{{else}}none{{end}}", "none");
        check("{{if and .kind (not .missing)}}t{{else if .kind}}u{{end}}", "t");
        check(
            "{{.items}}",
            "[map[metadata:map[labels:map[x:1 y:2] name:a] n:1 ok:true] map[metadata:map[name:b] n:20 ok:false]]",
        );
        check("{{define \"t\"}}<{{.kind}}>{{end}}{{template \"t\" .}}", "<List>");
        check("{{.foo", "template: output:1: unclosed action");
        check("{{range .items}}", "template: output:1: unexpected EOF");
        check("{{nope .kind}}", "template: output:1: function \"nope\" not defined");
        check("{{gt (index .items 1).n 3}}", "true");
        check(
            "{{range .items}}\n{{.metadata.name.x}}{{end}}",
            "template: output:2:11: executing \"output\" at <.metadata.name.x>: can't evaluate field x in type \
             interface {}",
        );
        check(
            "{{index .items 9}}",
            "template: output:1:2: executing \"output\" at <index .items 9>: error calling index: index out of range: 9",
        );
    }
}
