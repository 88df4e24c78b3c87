//! `tar`: what `kubectl cp` needs at the other end.

use crate::fs::{self, Entry, Kind};
use crate::io::Fd;
use crate::process::Process;

use super::archive::{self, Writer};
use super::gzip;
use super::options::Options;

pub(super) async fn tar(process: Process) -> i32 {
    // The first word may be options without a dash.
    let mut words = process.operands().to_vec();
    if let Some(first) = words.first_mut().filter(|first| !first.starts_with('-')) {
        first.insert(0, '-');
    }
    const LONG: [(&str, &str); 7] = [
        ("gzip", "z"),
        ("file", "f"),
        ("directory", "C"),
        ("no-same-permissions", "n"),
        ("no-same-owner", "o"),
        ("strip-components", "s"),
        ("verbose", "v"),
    ];
    let options = match Options::parse(&words, "cxtzvmpnoOf:C:s:", &LONG) {
        Ok(options) => options,
        Err(message) => return process.fail(1, message).await,
    };
    let folder = process.path(options.value("C").unwrap_or("."));
    if !process.fs().is_dir(&folder) {
        let shown = options.value("C").unwrap_or_default();
        return process.fail(1, format_args!("can't change directory to '{shown}': No such file or directory")).await;
    }
    if options.has("c") {
        return create(&process, &options, &folder).await;
    }
    if !options.has("x") && !options.has("t") {
        return process.fail(1, "need at least one option of c, x, t").await;
    }
    let (file, source) = match options.value("f") {
        None | Some("-") => ("-", Ok(process.stdin())),
        Some(path) => (path, process.open(path)),
    };
    let data = match source {
        Ok(source) => source.read_to_end().await,
        Err(error) => Err(error),
    };
    let data = match data {
        Ok(data) => data,
        Err(error) => return process.fail(1, format_args!("can't open '{file}': {error}")).await,
    };
    let data = match gzip::is_packed(&data) {
        true => gzip::unpack(&data),
        false => Ok(data),
    };
    match data.and_then(|data| archive::read(&data)) {
        Ok(members) => extract(&process, &options, &folder, members).await,
        Err(error) => process.fail(1, error).await,
    }
}

/// Packs the operands and all below them.
async fn create(process: &Process, options: &Options, folder: &str) -> i32 {
    if options.operands.is_empty() {
        return process.fail(1, "empty archive").await;
    }
    let mut writer = Writer::default();
    let mut names = Vec::new();
    let mut code = 0;
    for operand in &options.operands {
        let name = operand.trim_matches('/');
        let name = if name.is_empty() { "." } else { name };
        if operand.starts_with('/') {
            process.eprint("tar: removing leading '/' from member names\n").await;
        }
        let path = fs::absolute(folder, operand);
        if let Err(error) = process.fs().symlink_metadata(&path) {
            code = process.fail(1, format_args!("{operand}: {error}")).await;
        }
        super::files::walk(process.fs(), &path, name, &mut |name, entry| {
            writer.add(name, entry);
            names.push(name.to_owned());
        });
    }
    let packed = writer.finish();
    let packed = if options.has("z") { gzip::pack(&packed) } else { packed };
    let listed = match options.value("f") {
        None | Some("-") => {
            if !process.print(packed).await {
                return 1;
            }
            process.stderr()
        }
        Some(file) => {
            if let Err(error) = process.fs().write(&process.path(file), packed, process.machine.now()) {
                return process.fail(1, format_args!("can't open '{file}': {error}")).await;
            }
            process.stdout()
        }
    };
    if options.has("v") {
        list(&listed, &names).await;
    }
    code
}

async fn list(out: &Fd, names: &[String]) {
    for name in names {
        // Nobody may be reading the list.
        let _ = out.write_all(format!("{name}\n").as_bytes()).await;
    }
}

/// Unpacks or lists the members that the operands name, or all.
async fn extract(process: &Process, options: &Options, folder: &str, members: Vec<(String, Entry)>) -> i32 {
    let strip = options.value("s").and_then(|count| count.parse().ok()).unwrap_or(0);
    let wanted = |name: &str| {
        let inside = |operand: &String| {
            name.strip_prefix(operand.trim_end_matches('/'))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        options.operands.is_empty() || options.operands.iter().any(inside)
    };
    let mut names = Vec::new();
    let mut code = 0;
    for (name, mut entry) in members.into_iter().filter(|(name, _)| wanted(name)) {
        // Members stay below the folder, whatever they are called.
        let parts = name.split('/').filter(|part| !matches!(*part, "" | "." | "..")).skip(strip);
        let inner = parts.collect::<Vec<_>>().join("/");
        names.push(name.clone());
        if options.has("t") {
            continue;
        }
        if options.has("O") {
            if let Kind::File(data) = &entry.kind {
                process.print(data.as_slice()).await;
            }
            continue;
        }
        if options.has("m") {
            entry.modified = process.machine.now();
        }
        if options.has("o") || process.uid != 0 {
            entry.uid = process.uid;
            entry.gid = process.gid;
        }
        if let Err(error) = place(process, &fs::absolute(folder, &inner), entry) {
            code = process.fail(1, format_args!("can't open '{inner}': {error}")).await;
        }
    }
    if options.has("t") || options.has("v") {
        list(&process.stdout(), &names).await;
    }
    code
}

/// Makes a member's entry, in place of what is there.
fn place(process: &Process, path: &str, entry: Entry) -> Result<(), crate::errno::Errno> {
    let (fs, now) = (process.fs(), entry.modified);
    fs.create_dir_all(fs::parent(path), now)?;
    match &entry.kind {
        Kind::Directory => fs.create_dir_all(path, now)?,
        Kind::Symlink(target) => {
            let _ = fs.remove(path);
            return fs.symlink(target, path, now);
        }
        Kind::File(data) => fs.write(path, data.as_ref().clone(), now)?,
        Kind::Program(_) | Kind::Device(_) => return Ok(()),
    }
    fs.update(path, |made| {
        (made.mode, made.uid, made.gid, made.modified) = (entry.mode, entry.uid, entry.gid, entry.modified);
    })
}
