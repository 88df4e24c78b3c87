//! Functions that need no import, and what modules have.

use std::rc::Rc;
use std::time::Duration;

use super::eval::{Done, Stop, World, error, input, unknown};
use super::value::{Range, Value};

impl World<'_> {
    /// What a module has under a name.
    pub(super) fn member(&self, name: &str) -> Done<Value> {
        Ok(match name {
            "sys.argv" => self.heap.texts(self.arguments.iter().map(String::as_str))?,
            "sys.version" => self.heap.text(super::VERSION)?,
            "os.linesep" => self.heap.text("\n")?,
            long if long.len() > 64 => return error("AttributeError", "module has no attribute of such a name"),
            _ => Value::Known(name.into()),
        })
    }

    pub(super) async fn known(&mut self, name: &str, arguments: &[Value], named: &[(String, Value)]) -> Done<Value> {
        let option = |wanted: &str| named.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        let first = arguments.first();
        let heap = self.heap.clone();
        let text = |text: &str| heap.text(text);
        let list = |items: Vec<Value>| heap.list(items);
        let shown = |index: usize| arguments.get(index).map_or(Ok(String::new()), |value| heap.shown(value));
        if let Some(of) = name.strip_prefix("rediswq.") {
            return self.rediswq(of, arguments, named).await;
        }
        Ok(match (name, first) {
            ("print", _) => {
                let separator = option("sep").map_or_else(|| Ok(" ".to_owned()), |value| heap.shown(value))?;
                let end = option("end").map_or_else(|| Ok("\n".to_owned()), |value| heap.shown(value))?;
                let mut line = String::new();
                for (index, argument) in arguments.iter().enumerate() {
                    heap.grow(&mut line, if index == 0 { "" } else { &separator })?;
                    heap.grow(&mut line, &heap.shown(argument)?)?;
                }
                heap.grow(&mut line, &end)?;
                if matches!(option("file"), Some(Value::Known(file)) if &**file == "sys.stderr") {
                    self.process.eprint(line).await;
                } else if !self.process.print(line).await {
                    return Err(Stop::Exit(1));
                }
                Value::None
            }
            ("sys.stdout.write" | "sys.stderr.write", Some(value)) => {
                let line = heap.shown(value)?;
                if name == "sys.stderr.write" {
                    self.process.eprint(&line).await;
                } else if !self.process.print(&line).await {
                    return Err(Stop::Exit(1));
                }
                Value::Int(i64::try_from(line.chars().count()).unwrap_or(0))
            }
            ("sys.stdout.flush" | "sys.stderr.flush", _) => Value::None,
            ("sys.exit" | "exit" | "quit" | "os._exit", code) => {
                return Err(Stop::Exit(match code {
                    None | Some(Value::None) => 0,
                    Some(value) => match value.integer() {
                        Some(code) => i32::try_from(code.rem_euclid(256)).unwrap_or(1),
                        None => {
                            self.process.eprint(format!("{}\n", heap.shown(value)?)).await;
                            1
                        }
                    },
                }));
            }
            ("time.sleep", Some(value)) => {
                let Some(seconds) = value.number().filter(|seconds| *seconds >= 0.0) else {
                    return error("ValueError", "sleep length must be non-negative");
                };
                self.process.sleep(Duration::from_secs_f64(seconds.min(1e9))).await;
                Value::None
            }
            ("time.time", _) => Value::Float(self.process.machine.now().as_millisecond() as f64 / 1e3),
            ("time.ctime" | "datetime.datetime.now", _) => {
                text(&super::super::servers::stamp(self.process.machine.now(), "%a %b %e %H:%M:%S %Y"))?
            }
            ("os.environ.get" | "os.getenv", Some(key)) => match self.process.env.get(&heap.shown(key)?) {
                Some(value) => text(value)?,
                None => arguments.get(1).cloned().unwrap_or(Value::None),
            },
            ("os.environ.items", _) => {
                let pair = |(name, value): (&String, &String)| heap.tuple(vec![text(name)?, text(value)?]);
                list(self.process.env.iter().map(pair).collect::<Done<_>>()?)?
            }
            ("sys.stdin.read", _) => text(&input(self.process).await?)?,
            ("sys.stdin.readlines", _) => {
                let all = input(self.process).await?;
                heap.texts(all.split_inclusive('\n'))?
            }
            ("os.getpid", _) => Value::Int(self.process.pid.into()),
            ("os.getuid", _) => Value::Int(self.process.uid.into()),
            ("os.getcwd", _) => text(&self.process.cwd)?,
            ("os.listdir", _) => {
                let path = if first.is_some() { shown(0)? } else { ".".into() };
                match self.process.fs().list(&self.process.path(&path)) {
                    Ok(entries) => heap.texts(entries.iter().map(|(name, _)| name.as_str()))?,
                    Err(errno) => return error("FileNotFoundError", format!("[Errno 2] {errno}: '{path}'")),
                }
            }
            ("os.path.exists" | "os.path.isfile", Some(path)) => {
                Value::Bool(self.process.fs().exists(&self.process.path(&heap.shown(path)?)))
            }
            ("socket.gethostname" | "platform.node", _) => text(self.process.machine.hostname())?,
            ("random.random", _) => Value::Float((self.process.machine.random() >> 11) as f64 / (1_u64 << 53) as f64),
            ("random.randint" | "random.randrange", Some(from)) => {
                let (from, to) = match (from.integer(), arguments.get(1).and_then(Value::integer)) {
                    (Some(from), Some(to)) => (from, to.saturating_add(i64::from(name == "random.randint"))),
                    (Some(to), None) => (0, to),
                    _ => return error("TypeError", "an integer is required"),
                };
                let Some(width) =
                    to.checked_sub(from).and_then(|width| u64::try_from(width).ok()).filter(|width| *width > 0)
                else {
                    return error("ValueError", "empty range in randrange()");
                };
                Value::Int(from + i64::try_from(self.process.machine.random() % width).unwrap_or(0))
            }
            ("random.choice", Some(value)) => {
                let items = self.items(value)?;
                let at = self.process.machine.random() % u64::try_from(items.len().max(1)).unwrap_or(1);
                match items.get(usize::try_from(at).unwrap_or(0)) {
                    Some(item) => item,
                    None => return error("IndexError", "Cannot choose from an empty sequence"),
                }
            }
            ("len", Some(value)) => Value::Int(i64::try_from(self.length(value)?).unwrap_or(i64::MAX)),
            ("int", Some(value)) => match value {
                Value::Text(digits) => match digits.trim().parse() {
                    Ok(number) => Value::Int(number),
                    Err(_) => {
                        let message = format!("invalid literal for int() with base 10: {}", heap.repr(value)?);
                        return error("ValueError", message);
                    }
                },
                other => match other.number() {
                    Some(number) => Value::Int(number as i64),
                    None => {
                        let what = other.type_name();
                        let message = format!(
                            "int() argument must be a string, a bytes-like object or a real number, not '{what}'"
                        );
                        return error("TypeError", message);
                    }
                },
            },
            ("float", Some(value)) => match value.number().or(heap.shown(value)?.trim().parse().ok()) {
                Some(number) => Value::Float(number),
                None => {
                    return error("ValueError", format!("could not convert string to float: {}", heap.repr(value)?));
                }
            },
            ("str", _) => text(&shown(0)?)?,
            ("repr", Some(value)) => text(&heap.repr(value)?)?,
            ("bool", value) => Value::Bool(value.is_some_and(Value::truth)),
            ("range", Some(_)) => {
                let numbers: Option<Vec<i64>> = arguments.iter().map(Value::integer).collect();
                let (from, to, step) = match numbers.as_deref() {
                    Some([to]) => (0, *to, 1),
                    Some([from, to]) => (*from, *to, 1),
                    Some([from, to, step]) if *step != 0 => (*from, *to, *step),
                    _ => return error("TypeError", "range() takes one to three integers"),
                };
                Value::Range(Rc::new(Range { from, to, step }))
            }
            ("list" | "tuple", value) => {
                let items = value.map_or(Ok(Vec::new()), |value| Ok(self.items(value)?.all()))?;
                if name == "list" { list(items)? } else { heap.tuple(items)? }
            }
            ("enumerate", Some(value)) => {
                let items = self.items(value)?.all().into_iter().zip(0..);
                list(items.map(|(item, index)| heap.tuple(vec![Value::Int(index), item])).collect::<Done<_>>()?)?
            }
            ("sorted", Some(value)) => list(heap.sort(self.items(value)?.all())?)?,
            ("sum", Some(value)) => {
                let (mut sum, items, mut at) = (Value::Int(0), self.each(value)?, 0);
                while let Some(item) = items.get(at) {
                    at += 1;
                    self.tick().await?;
                    sum = self.binary("+", &sum, &item)?;
                }
                sum
            }
            ("min" | "max", Some(value)) => {
                let items = if arguments.len() == 1 { self.items(value)?.all() } else { arguments.to_vec() };
                let (op, wanted) = match name {
                    "min" => ("<", std::cmp::Ordering::Less),
                    _ => (">", std::cmp::Ordering::Greater),
                };
                let mut best: Option<Value> = None;
                for item in items {
                    let is_better = match &best {
                        Some(best) => heap.order(op, &item, best)? == Some(wanted),
                        None => true,
                    };
                    best = if is_better { Some(item) } else { best };
                }
                match best {
                    Some(best) => best,
                    None => return error("ValueError", format!("{name}() iterable argument is empty")),
                }
            }
            ("abs", Some(Value::Int(value))) => Value::Int(value.saturating_abs()),
            ("abs", Some(Value::Float(value))) => Value::Float(value.abs()),
            ("round", Some(value)) => match (value.number(), arguments.get(1).and_then(Value::integer)) {
                (Some(number), None) => Value::Int(number.round() as i64),
                (Some(number), Some(digits)) => {
                    let scale = 10_f64.powi(i32::try_from(digits).unwrap_or(0));
                    Value::Float((number * scale).round() / scale)
                }
                (None, _) => return error("TypeError", "a number is required"),
            },
            ("json.dumps", Some(value)) => text(&heap.json(value)?)?,
            (kind, _)
                if kind.ends_with("Error") || matches!(kind, "Exception" | "SystemExit" | "KeyboardInterrupt") =>
            {
                Value::Error(Rc::new((kind.to_owned(), text(&shown(0)?)?)))
            }
            _ => return unknown(name),
        })
    }
}
