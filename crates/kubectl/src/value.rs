//! Changes to JSON that somebody else wrote: nothing is assumed about its shape.

use serde_json::{Map, Value};

/// Access by path that neither panics nor leaves traces.
pub trait ValueExt {
    /// The value at a path.
    fn at_mut(&mut self, path: &[&str]) -> Option<&mut Value>;

    /// The list at a path.
    fn list_mut(&mut self, path: &[&str]) -> Option<&mut Vec<Value>> {
        self.at_mut(path)?.as_array_mut()
    }

    /// The object at a path.
    fn fields_mut(&mut self, path: &[&str]) -> Option<&mut Map<String, Value>> {
        self.at_mut(path)?.as_object_mut()
    }

    /// Sets the value at a path, making objects on the way where there is nothing. Where something else
    /// stands in the way, it stays as it is.
    fn put(&mut self, path: &[&str], value: impl Into<Value>);
}

impl ValueExt for Value {
    fn at_mut(&mut self, path: &[&str]) -> Option<&mut Value> {
        path.iter().try_fold(self, |value, key| value.get_mut(*key))
    }

    fn put(&mut self, path: &[&str], value: impl Into<Value>) {
        let Some((last, way)) = path.split_last() else { return };
        let mut place = self;
        for key in way {
            if place.is_null() {
                *place = Value::Object(Map::new());
            }
            let Some(fields) = place.as_object_mut() else { return };
            place = fields.entry(*key).or_insert(Value::Null);
        }
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        if let Some(fields) = place.as_object_mut() {
            fields.insert((*last).to_owned(), value.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_only_what_is_asked_for() {
        let mut value = json!({ "metadata": "x", "list": [1] });
        value.put(&["metadata", "name"], "y");
        assert!(value.list_mut(&["nothing"]).is_none());
        assert_eq!(value.list_mut(&["list"]).map(|list| list.len()), Some(1));
        assert_eq!(value, json!({ "metadata": "x", "list": [1] }));
        value.put(&["a", "b"], 1);
        assert_eq!(value["a"]["b"], 1);
    }
}
