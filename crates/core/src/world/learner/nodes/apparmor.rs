//! AppArmor's tools on a node, as far as the documentation's tutorial goes: profiles are loaded, containers are held to
//! whether they may write.

use sim::process::Process;
use sim::runtime::apparmor::PROFILES;

/// Most bytes of profiles that are read from standard input.
const PROFILE_BYTES_MAX: usize = 1 << 20;

/// `apparmor_parser`: loads or removes the profiles of a file, or of its input.
pub(super) async fn parser(process: Process) -> i32 {
    let (options, files): (Vec<&String>, Vec<&String>) =
        process.operands().iter().partition(|word| word.starts_with('-'));
    let remove = options.iter().any(|word| matches!(word.as_str(), "-R" | "--remove"));
    let mut text = String::new();
    if files.is_empty() {
        text = String::from_utf8_lossy(&process.stdin().read_up_to(PROFILE_BYTES_MAX).await.unwrap_or_default())
            .into_owned();
    }
    for file in files {
        match process.fs().read_text(&process.path(file)) {
            Ok(found) => text += &found,
            Err(error) => {
                return process.fail(1, format!("Could not open '{file}': {error}")).await;
            }
        }
    }
    let fs = process.fs();
    let now = process.machine.now();
    let loaded = fs.read_text(PROFILES).unwrap_or_default();
    let mut profiles: Vec<String> = loaded.lines().map(str::to_owned).collect();
    let mut rest = text.split("profile ").skip(1).peekable();
    if rest.peek().is_none() {
        return process.fail(1, "AppArmor parser error: syntax error, unexpected end of file").await;
    }
    for body in rest {
        let name = body.split_whitespace().next().unwrap_or_default();
        profiles.retain(|line| line.split(' ').next() != Some(name));
        if !remove {
            let denies = body.lines().any(|line| {
                let mut words = line.trim().trim_end_matches(',').split_whitespace();
                words.next() == Some("deny") && words.next() == Some("/**") && words.any(|modes| modes.contains('w'))
            });
            profiles.push(format!("{name} (enforce){}", if denies { " deny /** w" } else { "" }));
        }
    }
    let folder = sim::fs::parent(PROFILES).to_owned();
    let written = fs.create_dir_all(&folder, now).and_then(|()| {
        let lines: String = profiles.iter().map(|line| format!("{line}\n")).collect();
        fs.write(PROFILES, lines, now)
    });
    match written {
        Ok(()) => 0,
        Err(error) => process.fail(1, error).await,
    }
}

/// `aa-status`: the profiles that are loaded.
pub(super) async fn status(process: Process) -> i32 {
    let loaded = process.fs().read_text(PROFILES).unwrap_or_default();
    let count = loaded.lines().count();
    let mut text =
        format!("apparmor module is loaded.\n{count} profiles are loaded.\n{count} profiles are in enforce mode.\n");
    for name in loaded.lines().filter_map(|line| line.split(' ').next()) {
        text += &format!("   {name}\n");
    }
    i32::from(!process.print(text).await)
}
