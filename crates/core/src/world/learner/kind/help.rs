//! What kind's commands say with `--help` (upstream sigs.k8s.io/kind, pkg/cmd/kind).

/// A flag: its letter (a space for none), its name with what it takes, and what it does.
type Flag = (char, &'static str, &'static str);

/// A command's page.
struct Page {
    /// Its words after `kind`, and what may follow them.
    words: &'static str,
    operands: &'static str,
    about: &'static str,
    /// Its subcommands, each with a line.
    commands: &'static [(&'static str, &'static str)],
    flags: &'static [Flag],
}

const HELP: Flag = ('h', "help", "help for ");
const KUBECONFIG: Flag =
    (' ', "kubeconfig string", "sets kubeconfig path instead of $KUBECONFIG or $HOME/.kube/config");
const CONTEXT: Flag = ('n', "name string", "the cluster context name (default \"kind\")");

macro_rules! delete_rest {
    () => {
        "\n\nThis is an idempotent operation, meaning it may be called multiple times without\nfailing (like \"rm -f\"). If the cluster resources exist they will be deleted, and\nif the cluster is already gone it will just return success.\n\nErrors will only occur if the cluster resources exist and are not able to be deleted."
    };
}

const PAGES: &[Page] = &[
    Page {
        words: "build",
        operands: "",
        about: "Build one of [node-image]",
        commands: &[("node-image", "Build the node image")],
        flags: &[HELP],
    },
    Page {
        words: "create",
        operands: "",
        about: "Creates one of local Kubernetes cluster (cluster)",
        commands: &[("cluster", "Creates a local Kubernetes cluster")],
        flags: &[HELP],
    },
    Page {
        words: "create cluster",
        operands: "",
        about: "Creates a local Kubernetes cluster using Docker container 'nodes'",
        commands: &[],
        flags: &[
            (' ', "config string", "path to a kind config file"),
            HELP,
            (' ', "image string", "node docker image to use for booting the cluster"),
            KUBECONFIG,
            ('n', "name string", "cluster name, overrides KIND_CLUSTER_NAME, config (default kind)"),
            (' ', "retain", "retain nodes for debugging when cluster creation fails"),
            (
                ' ',
                "wait duration",
                "The length of time to wait for control plane node to be ready (default 0s). Non-zero values should contain \
                 a corresponding time unit (e.g. 1s, 2m, 3h).",
            ),
        ],
    },
    Page {
        words: "delete",
        operands: "",
        about: "Deletes one of [cluster]",
        commands: &[("cluster", "Deletes a cluster"), ("clusters", "Deletes one or more clusters")],
        flags: &[HELP],
    },
    Page {
        words: "delete cluster",
        operands: "",
        about: concat!("Deletes a Kind cluster from the system.", delete_rest!()),
        commands: &[],
        flags: &[HELP, KUBECONFIG, ('n', "name string", "the cluster name (default \"kind\")")],
    },
    Page {
        words: "delete clusters",
        operands: "",
        about: concat!("Deletes one or more Kind clusters from the system.", delete_rest!()),
        commands: &[],
        flags: &[('A', "all", "delete all clusters"), HELP, KUBECONFIG],
    },
    Page {
        words: "export",
        operands: "",
        about: "Exports one of [kubeconfig, logs]",
        commands: &[
            ("kubeconfig", "Exports cluster kubeconfig"),
            ("logs", "Exports logs to a tempdir or [output-dir] if specified"),
        ],
        flags: &[HELP],
    },
    Page {
        words: "export kubeconfig",
        operands: "",
        about: "Exports cluster kubeconfig",
        commands: &[],
        flags: &[HELP, (' ', "internal", "use internal address instead of external"), KUBECONFIG, CONTEXT],
    },
    Page {
        words: "export logs",
        operands: "[output-dir] ",
        about: "Exports logs to a tempdir or [output-dir] if specified",
        commands: &[],
        flags: &[HELP, CONTEXT],
    },
    Page {
        words: "get",
        operands: "",
        about: "Gets one of [clusters, nodes, kubeconfig]",
        commands: &[
            ("clusters", "Lists existing kind clusters by their name"),
            ("kubeconfig", "Prints cluster kubeconfig"),
            ("nodes", "Lists existing kind nodes by their name"),
        ],
        flags: &[HELP],
    },
    Page {
        words: "get clusters",
        operands: "",
        about: "Lists existing kind clusters by their name",
        commands: &[],
        flags: &[HELP],
    },
    Page {
        words: "get kubeconfig",
        operands: "",
        about: "Prints cluster kubeconfig",
        commands: &[],
        flags: &[HELP, (' ', "internal", "use internal address instead of external"), CONTEXT],
    },
    Page {
        words: "get nodes",
        operands: "",
        about: "Lists existing kind nodes by their name",
        commands: &[],
        flags: &[
            (
                'A',
                "all-clusters",
                "If present, list all the available nodes across all cluster contexts. Current context is ignored even if specified with --name.",
            ),
            HELP,
            CONTEXT,
        ],
    },
    Page {
        words: "load",
        operands: "",
        about: "Loads images into node from an archive or image on host",
        commands: &[
            ("docker-image", "Loads docker images from host into nodes"),
            ("image-archive", "Loads docker image from archive into nodes"),
        ],
        flags: &[HELP],
    },
    Page {
        words: "load docker-image",
        operands: "<IMAGE> [IMAGE...] ",
        about: "Loads docker images from host into all or specified nodes by name",
        commands: &[],
        flags: &[HELP, CONTEXT, (' ', "nodes strings", "comma separated list of nodes to load images into")],
    },
    Page {
        words: "load image-archive",
        operands: "<IMAGE.tar> ",
        about: "Loads docker image from archive into all or specified nodes by name",
        commands: &[],
        flags: &[HELP, CONTEXT, (' ', "nodes strings", "comma separated list of nodes to load images into")],
    },
];

/// A command's page, by its words.
pub(super) fn page(words: &str) -> Option<String> {
    let page = PAGES.iter().find(|page| page.words == words)?;
    let name = words.rsplit(' ').next().unwrap_or_default();
    let mut text = format!("{}\n\nUsage:\n  kind {words} {}[flags]\n", page.about, page.operands);
    if !page.commands.is_empty() {
        text.push_str(&format!("  kind {words} [command]\n\nAvailable Commands:\n"));
        let width = page.commands.iter().map(|(command, _)| command.len()).max().unwrap_or(0).max(11);
        for (command, about) in page.commands {
            text.push_str(&format!("  {command:width$} {about}\n"));
        }
    }
    let own: Vec<Flag> = page.flags.to_vec();
    text.push_str(&format!("\nFlags:\n{}", flags(&own, name)));
    let global = [
        ('q', "quiet", "silence all stderr output"),
        ('v', "verbosity int32", "info log verbosity, higher value produces more output"),
    ];
    text.push_str(&format!("\nGlobal Flags:\n{}", flags(&global, name)));
    if !page.commands.is_empty() {
        text.push_str(&format!("\nUse \"kind {words} [command] --help\" for more information about a command.\n"));
    }
    Some(text)
}

fn flags(flags: &[Flag], name: &str) -> String {
    let width = flags.iter().map(|(_, flag, _)| flag.len()).max().unwrap_or(0);
    let line = |(letter, flag, about): &Flag| {
        let letter = if *letter == ' ' { "    ".to_owned() } else { format!("-{letter}, ") };
        let of = if *flag == "help" { name } else { "" };
        format!("  {letter}--{flag:width$}   {about}{of}\n")
    };
    flags.iter().map(line).collect()
}
