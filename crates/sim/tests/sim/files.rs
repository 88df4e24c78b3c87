//! File systems: layers, links, mounts.
use machinery::Timestamp;
use playground_sim::Errno;
use playground_sim::fs::{Entry, Fs, Kind, Mode, Tree, absolute};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn layered() -> (std::rc::Rc<Tree>, Fs) {
    let mut lower = Tree::new(NOW);
    lower.insert("/etc/conf", Entry::file("lower", NOW));
    lower.insert("/etc/gone", Entry::file("x", NOW));
    lower.insert("/bin/tool", Entry::program("ls", NOW));
    let lower = std::rc::Rc::new(lower);
    (lower.clone(), Fs::new(Tree::over(lower).share(), false))
}

fn names(fs: &Fs, path: &str) -> Vec<String> {
    fs.list(path).unwrap().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn what_is_written_hides_the_image_and_leaves_it_as_it_is() {
    let (lower, fs) = layered();
    fs.append("/etc/conf", b" and own", NOW).unwrap();
    fs.remove("/etc/gone").unwrap();
    fs.write("/etc/new", "n", NOW).unwrap();
    assert_eq!(fs.read_text("/etc/conf").unwrap(), "lower and own");
    assert_eq!(names(&fs, "/etc"), ["conf", "new"]);
    let other = Fs::new(Tree::over(lower).share(), false);
    assert_eq!(other.read_text("/etc/conf").unwrap(), "lower");
    assert_eq!(names(&other, "/etc"), ["conf", "gone"]);
    fs.remove_all("/etc").unwrap();
    assert_eq!(fs.list("/etc"), Err(Errno::NotFound));
    fs.create_dir("/etc", NOW).unwrap();
    assert_eq!(names(&fs, "/etc"), Vec::<String>::new());
}

#[test]
fn links_are_followed_and_circles_end() {
    let (_, fs) = layered();
    fs.symlink("/etc", "/e", NOW).unwrap();
    fs.symlink("conf", "/etc/alias", NOW).unwrap();
    assert_eq!(fs.read_text("/e/alias").unwrap(), "lower");
    assert!(matches!(fs.symlink_metadata("/e").unwrap().kind, Kind::Symlink(_)));
    fs.symlink("/b", "/a", NOW).unwrap();
    fs.symlink("/a", "/b", NOW).unwrap();
    assert_eq!(fs.read("/a"), Err(Errno::TooManyLinks));
    assert_eq!(fs.read("/a/x"), Err(Errno::TooManyLinks));
}

#[test]
fn mounts_lie_over_the_root_and_may_be_read_only() {
    let (_, fs) = layered();
    let volume = Tree::new(NOW).share();
    volume.borrow_mut().insert("/sub/file", Entry::file("v", NOW));
    fs.mount("/data", volume.clone(), "/sub", false);
    fs.mount("/frozen", volume, "", true);
    assert_eq!(fs.read_text("/data/file").unwrap(), "v");
    fs.write("/data/other", "w", NOW).unwrap();
    assert_eq!(fs.read_text("/frozen/sub/other").unwrap(), "w");
    assert_eq!(fs.write("/frozen/x", "", NOW), Err(Errno::ReadOnly));
    assert_eq!(fs.remove("/data"), Err(Errno::NotEmpty));
    assert_eq!(names(&fs, "/"), ["bin", "data", "etc", "frozen"]);
}

#[test]
fn folders_on_the_way_are_made() {
    let (_, fs) = layered();
    fs.symlink("/etc", "/e", NOW).unwrap();
    fs.symlink("/nowhere", "/dangling", NOW).unwrap();
    fs.mount("/frozen", Tree::new(NOW).share(), "", true);
    let made = |path: &str| fs.create_dir_all(path, NOW);
    for path in ["/", "/etc", "/var/lib/a/b", "/var/lib/a/b/", "/e/x/../y/z", "relative/c"] {
        assert_eq!(made(path), Ok(()), "{path}");
        assert!(fs.is_dir(path), "{path}");
    }
    assert_eq!(names(&fs, "/etc"), ["conf", "gone", "y"]);
    assert_eq!(made("/etc/conf"), Err(Errno::NotADirectory));
    assert_eq!(made("/dangling/a"), Err(Errno::NotADirectory));
    assert_eq!(made("/frozen/a/b"), Err(Errno::ReadOnly));
    assert_eq!(made(&"/a".repeat(5000)), Err(Errno::NameTooLong));
    assert_eq!(names(&fs, "/"), ["a", "bin", "dangling", "e", "etc", "frozen", "relative", "var"]);
}

#[test]
fn failures_have_their_numbers() {
    let (_, fs) = layered();
    assert_eq!(fs.read("/nope"), Err(Errno::NotFound));
    assert_eq!(fs.read("/etc"), Err(Errno::IsADirectory));
    assert_eq!(fs.read("/etc/conf/x"), Err(Errno::NotADirectory));
    assert_eq!(fs.write("/nope/x", "", NOW), Err(Errno::NotFound));
    assert_eq!(fs.create_dir("/etc", NOW), Err(Errno::Exists));
    assert_eq!(fs.create_dir_all("/etc/conf/x", NOW), Err(Errno::NotADirectory));
    assert_eq!(fs.remove("/etc"), Err(Errno::NotEmpty));
    assert_eq!(fs.copy_all("/etc", "/etc/inside", NOW), Err(Errno::Invalid));
    assert!(fs.open("/etc", Mode::Truncate, NOW).is_err());
}

#[test]
fn paths_are_made_absolute() {
    let cases = [("/", "", "/"), ("/a", "../..", "/"), ("/a", "./b//c/", "/a/b/c"), ("/a", "/x/../y", "/y")];
    for (cwd, path, expected) in cases {
        assert_eq!(absolute(cwd, path), expected);
    }
}
