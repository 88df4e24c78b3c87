//! Commands of lists.

use super::{Keys, NOT_AN_INTEGER, Value, WRONG_TYPE, array, bulk, wrong_number};

/// Those there are.
pub(super) const COMMANDS: [&str; 10] =
    ["LPUSH", "RPUSH", "LPOP", "RPOP", "LLEN", "LRANGE", "LINDEX", "LREM", "RPOPLPUSH", "LMOVE"];

const NIL: &[u8] = b"$-1\r\n";

/// A list by its key; none where there is none, and nothing where the key holds something else.
fn list<'a>(data: &'a mut Keys, key: &[u8]) -> Result<Option<&'a mut Vec<Vec<u8>>>, Vec<u8>> {
    match data.get_mut(key) {
        Some(Value::List(list)) => Ok(Some(list)),
        Some(Value::Text(_)) => Err(WRONG_TYPE.into()),
        None => Ok(None),
    }
}

/// Takes an item from an end; a list without items is none.
fn pop(data: &mut Keys, key: &[u8], left: bool) -> Result<Option<Vec<u8>>, Vec<u8>> {
    let Some(list) = list(data, key)? else { return Ok(None) };
    let item = match left {
        true if !list.is_empty() => Some(list.remove(0)),
        true => None,
        false => list.pop(),
    };
    if list.is_empty() {
        data.remove(key);
    }
    Ok(item)
}

fn push(data: &mut Keys, key: &[u8], items: &[Vec<u8>], left: bool) -> Result<usize, Vec<u8>> {
    list(data, key)?;
    let Value::List(list) = data.entry(key.to_vec()).or_insert_with(|| Value::List(Vec::new())) else { return Ok(0) };
    for item in items {
        let at = if left { 0 } else { list.len() };
        list.insert(at, item.clone());
    }
    Ok(list.len())
}

/// A place as Redis counts it: from the end where it is negative.
fn place(text: &[u8], length: usize) -> Option<i64> {
    let at: i64 = String::from_utf8_lossy(text).parse().ok()?;
    Some(if at < 0 { at.saturating_add(i64::try_from(length).ok()?) } else { at })
}

fn is_left(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"LEFT")
}

/// Takes an item from the first list that has one, and says which: what `BLPOP` and its like do as soon as they can.
pub(super) fn pop_any(command: &[Vec<u8>], data: &mut Keys) -> Option<Vec<u8>> {
    let (name, arguments) = command.split_first()?;
    let name = String::from_utf8_lossy(name).into_owned();
    match name.as_str() {
        "LPOP" | "RPOP" => arguments.iter().find_map(|key| match pop(data, key, name == "LPOP") {
            Ok(item) => Some(array(&[key.clone(), item?])),
            Err(refusal) => Some(refusal),
        }),
        _ => Some(run(&name, arguments, data)).filter(|reply| reply != NIL),
    }
}

/// Runs one; the reply.
pub(super) fn run(name: &str, arguments: &[Vec<u8>], data: &mut Keys) -> Vec<u8> {
    answer(name, arguments, data).unwrap_or_else(|refusal| refusal)
}

fn answer(name: &str, arguments: &[Vec<u8>], data: &mut Keys) -> Result<Vec<u8>, Vec<u8>> {
    let integer = |number: usize| Ok(format!(":{number}\r\n").into_bytes());
    let item = |item: Option<Vec<u8>>| Ok(item.map_or_else(|| NIL.to_vec(), |item| bulk(&item)));
    let number = || NOT_AN_INTEGER.as_bytes().to_vec();
    match (name, arguments) {
        ("LPUSH" | "RPUSH", [key, items @ ..]) if !items.is_empty() => {
            integer(push(data, key, items, name == "LPUSH")?)
        }
        ("LPOP" | "RPOP", [key]) => item(pop(data, key, name == "LPOP")?),
        ("RPOPLPUSH", [from, to]) => item(shift(data, from, to, false, true)?),
        ("LMOVE", [from, to, whence, whither]) => item(shift(data, from, to, is_left(whence), is_left(whither))?),
        ("LLEN", [key]) => integer(list(data, key)?.map_or(0, |list| list.len())),
        ("LINDEX", [key, at]) => {
            let Some(list) = list(data, key)? else { return Ok(NIL.to_vec()) };
            let at = place(at, list.len()).ok_or_else(number)?;
            item(usize::try_from(at).ok().and_then(|at| list.get(at)).cloned())
        }
        ("LRANGE", [key, from, to]) => {
            let Some(list) = list(data, key)? else { return Ok(array(&[])) };
            let (from, to) = (place(from, list.len()).ok_or_else(number)?, place(to, list.len()).ok_or_else(number)?);
            let from = usize::try_from(from).unwrap_or(0);
            let end = usize::try_from(to.saturating_add(1)).unwrap_or(0).min(list.len());
            Ok(array(list.get(from..end).unwrap_or_default()))
        }
        ("LREM", [key, count, item]) => {
            let count: i64 = String::from_utf8_lossy(count).parse().map_err(|_| number())?;
            let Some(list) = list(data, key)? else { return integer(0) };
            let most =
                if count == 0 { usize::MAX } else { usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX) };
            let mut places: Vec<usize> =
                list.iter().enumerate().filter(|(_, known)| *known == item).map(|(at, _)| at).collect();
            if count < 0 {
                places.reverse();
            }
            places.truncate(most);
            let mut at = 0;
            list.retain(|_| {
                at += 1;
                !places.contains(&(at - 1))
            });
            if list.is_empty() {
                data.remove(key);
            }
            integer(places.len())
        }
        _ => Err(wrong_number(name)),
    }
}

/// Takes an item from an end of a list to an end of another.
fn shift(data: &mut Keys, from: &[u8], to: &[u8], whence: bool, whither: bool) -> Result<Option<Vec<u8>>, Vec<u8>> {
    list(data, to)?;
    let Some(item) = pop(data, from, whence)? else { return Ok(None) };
    push(data, to, std::slice::from_ref(&item), whither)?;
    Ok(Some(item))
}
