//! One line of help under an error that today's kubectl gives to a command of yesterday's documents.

/// What to type today instead of a kubectl command line that has failed, if that is known.
pub(crate) fn hint(arguments: &[String], errors: &str) -> Option<String> {
    let operands: Vec<&str> = arguments.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    let value = |flag: &str| {
        let given = arguments.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('='));
        let next = || arguments.iter().skip_while(|word| *word != flag).nth(1).map(String::as_str);
        given.or_else(next)
    };
    let today = match operands.as_slice() {
        ["run", name, ..] if errors.contains("unknown flag: --replicas") => format!(
            "kubectl create deployment {name} --image={} --replicas={}",
            value("--image").unwrap_or("IMAGE"),
            value("--replicas").unwrap_or("1")
        ),
        ["run", name, ..] if errors.contains("unknown flag: --generator") => {
            let image = value("--image").unwrap_or("IMAGE");
            format!("kubectl run {name} --image={image} for a Pod, or kubectl create deployment {name} --image={image}")
        }
        ["exec", pod, command @ ..] if errors.contains("exec [POD] [COMMAND] is not supported anymore") => {
            format!("kubectl exec {pod} -- {}", command.join(" "))
        }
        [verb, ..] if errors.contains("no matches for kind") && errors.contains("beta") => {
            let file = value("-f").or_else(|| value("--filename")).unwrap_or("FILE");
            format!("kubectl convert -f {file} | kubectl {verb} -f -")
        }
        _ => return None,
    };
    Some(format!("playground: Kubernetes has changed since; today: {today}"))
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn commands_of_yesterday_are_known() {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (line, errors, today) in [
            (
                "run sample --image=nginx:1.8 --replicas=2",
                "error: unknown flag: --replicas",
                Some("kubectl create deployment sample --image=nginx:1.8 --replicas=2"),
            ),
            (
                "exec nginx date",
                "error: exec [POD] [COMMAND] is not supported anymore.",
                Some("kubectl exec nginx -- date"),
            ),
            (
                "create -f old.yaml",
                "no matches for kind \"Deployment\" in version \"extensions/v1beta1\"",
                Some("kubectl convert -f old.yaml | kubectl create -f -"),
            ),
            ("get pods", "error: you must be logged in", None),
        ] {
            let told = hint(&words(line), errors);
            assert_eq!(told.as_deref().and_then(|told| told.split_once("today: ")).map(|(_, today)| today), today);
        }
    }
}
