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

    /// The text for an object. Missing keys print as `<no value>`, or fail if that is not allowed.
    ///
    /// # Errors
    /// In Go's words.
    pub fn render(&self, root: &Value, allow_missing: bool) -> Result<String, String> {
        eval::render(&self.nodes, root, allow_missing)
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
        let got = Template::parse(template).and_then(|template| template.render(&object, true));
        assert_eq!(got.unwrap_or_else(|error| error), expected, "{template}");
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
    }
}
