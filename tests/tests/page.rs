//! The page, its cluster in a Web Worker, as a person uses it: in Chromium, by WebDriver.

use std::sync::atomic::Ordering;

use playground_tests::browser::{Browser, page_that_goes, static_page};
use thirtyfour::prelude::Key;

/// Pods in the table, when it is shown, that are ready, the cluster's own not counted.
const PODS_READY: &str = "return [...document.querySelectorAll('tbody tr')]\
     .filter(row => row.innerText.includes('1/1') && !/kube-system|local-path-storage/.test(row.innerText)).length";

/// The first check of the lesson of a first visit, which asks for a command: before and after it.
const FIRST_CHECK_OPEN: &str = ".checks li:first-child:not(.done)";
const FIRST_CHECK_DONE: &str = ".checks li:first-child.done";

#[tokio::test]
async fn commands_typed_into_the_terminal_change_the_cluster() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
    browser.type_line("kubectl apply -f hellodep.yaml").await;
    browser.until_terminal(|text| text.contains("deployment.apps/hellodep created"), "what was created").await;

    browser.click(".segmented button:nth-child(2)").await;
    browser.until_true("two pods are in the table", &format!("{PODS_READY} == 2")).await;
    browser.click("tbody .link").await;
    browser.until("the inspector shows the pod", ".inspector .tabs").await;
    browser.click(".tabs button:nth-child(2)").await;
    let yaml = browser.until("its YAML", ".yaml").await.text().await.unwrap_or_default();
    assert!(yaml.contains("kind: Pod") && yaml.contains("image: hellokube:1.0.0"), "{yaml}");

    browser.type_line("kubectl scale deployment hellodep --replicas=4").await;
    browser.until_true("four pods are in the table", &format!("{PODS_READY} == 4")).await;
    browser.type_line("kubectl get nothing").await;
    browser
        .until_terminal(|text| text.contains("the server doesn't have a resource type \"nothing\""), "the error")
        .await;
    browser.type_line("kubectl explain replicaset.spec.minReadySeconds").await;
    browser.until_terminal(|text| text.contains("Minimum number of seconds"), "the API's own text").await;
    browser.close().await;
}

#[tokio::test]
async fn the_first_lesson_can_be_completed() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
    let steps = browser.script("return document.querySelectorAll('.steps li').length").await.as_u64().unwrap_or(0);
    for step in 1..=steps {
        let open = format!("return !!document.querySelector('.steps li:nth-child({step}) [aria-current]')");
        browser.until_true(&format!("step {step} is open"), &open).await;
        let commands =
            browser.script("return document.querySelectorAll('.command').length").await.as_u64().unwrap_or(0);
        for command in 0..commands {
            let prompts = "return document.querySelector('.terminal').widget.text().split('$').length";
            let before = browser.script(prompts).await.as_u64().unwrap_or(0);
            browser.script(&format!("document.querySelectorAll('.command')[{command}].click()")).await;
            browser.until_true("the command has ended", &format!("{prompts} > {before}", prompts = prompts)).await;
        }
        let done =
            "return [...document.querySelectorAll('.checks li')].every(check => check.classList.contains('done'))";
        browser.until_true(&format!("the checks of step {step}"), done).await;
        if step < steps {
            browser.click(".lesson footer .primary").await;
        }
    }
    browser.until("the lesson is complete", ".complete").await;
    browser.close().await;
}

#[tokio::test]
async fn time_stops_and_goes_on() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    browser.click(".clock .icon").await;
    browser.until("time stands still", ".clock.paused").await;
    let now = browser.text(".clock .now").await;
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    assert_eq!(browser.text(".clock .now").await, now);
    browser.click(".clock .icon").await;
    let moved = format!("return document.querySelector('.clock .now').innerText != '{now}'");
    browser.until_true("time goes on", &moved).await;
    browser.close().await;
}

#[tokio::test]
async fn a_small_screen_shows_a_pane_at_a_time() {
    let browser = Browser::open(&static_page(), 500, 844).await;
    for (tab, pane) in [(1, ".lesson"), (2, ".map canvas"), (3, ".xterm"), (4, ".inspector")] {
        browser.click(&format!(".bottom button:nth-child({tab})")).await;
        let visible = format!("return document.querySelector('{pane}').getClientRects().length > 0");
        browser.until_true("the pane is shown", &visible).await;
    }
    let wide = browser.script("return document.documentElement.scrollWidth > innerWidth").await;
    assert_eq!(wide, serde_json::Value::Bool(false), "nothing reaches beyond the screen");
    browser.close().await;
}

#[tokio::test]
async fn nothing_comes_from_anywhere_else() {
    let address = static_page();
    let browser = Browser::open(&address, 1440, 900).await;
    let foreign = format!(
        "return performance.getEntriesByType('resource').map(entry => entry.name).filter(name => !name.startsWith('{address}'))"
    );
    assert_eq!(browser.script(&foreign).await, serde_json::json!([]));
    browser.close().await;
}

/// Applies a Deployment whose pods fit nowhere, opens the table, and chooses its pod.
async fn choose_a_pending_pod(browser: &Browser) {
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
    browser.type_line("kubectl create deployment press --image=nginx:1.27").await;
    browser.type_line("kubectl set resources deployment press --requests=cpu=64").await;
    browser.click(".segmented button:nth-child(2)").await;
    // The one that fits nowhere, not the first one before it has a node: that one runs.
    let choose = "const rows = [...document.querySelectorAll('tbody tr')]; \
                  const pending = rows.find(row => row.innerText.includes('Pending')); \
                  if (!pending || !rows.some(row => row.innerText.includes('1/1'))) return false; \
                  pending.querySelector('button').click(); return true";
    browser.until_true("a pod is pending", choose).await;
}

#[tokio::test]
async fn a_pending_pod_says_why_for_every_node() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    choose_a_pending_pod(&browser).await;
    let says = "return document.querySelector('.why')?.innerText.includes('Insufficient cpu') ?? false";
    browser.until_true("the pod says why", says).await;
    let nodes = "return document.querySelectorAll('.why tbody tr').length == 3";
    browser.until_true("and for every node", nodes).await;
    browser.close().await;
}

#[tokio::test]
async fn an_edit_is_checked_shown_and_applied() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    choose_a_pending_pod(&browser).await;
    browser.click(".explorer nav button:nth-child(2)").await;
    browser
        .until_true("the Deployment is listed", "return document.querySelector('tbody .link')?.innerText == 'press'")
        .await;
    browser.click("tbody .link").await;
    browser.click(".tabs button:nth-child(2)").await;
    browser.click(".inspector .actions .small").await;
    browser.until_true("the editor has come", "return !!document.querySelector('.editor')?.widget").await;
    let at_the_top = "const {view} = document.querySelector('.editor').widget; \
                      return view.hasFocus && view.state.selection.main.head == 0 && view.scrollDOM.scrollTop == 0";
    browser.until_true("it begins at the top", at_the_top).await;
    // What is typed is the editor's, also what is a key of the page elsewhere.
    let typed = "# u h : . / 1\n";
    browser.keys(".cm-content", typed).await;
    browser
        .until_true("it is there", "return document.querySelector('.editor').widget.text().startsWith('# u h : . / 1')")
        .await;
    let write = |from: &str, to: &str| {
        format!(
            "const editor = document.querySelector('.editor').widget; editor.setText(editor.text().replace('{from}', '{to}'))"
        )
    };
    browser.script(&write("replicas: 1", "replicas: many")).await;
    browser.until("the server's error", ".edit .error").await;
    let marked = |field: &str| format!("return document.querySelector('.cm-lintRange-error')?.innerText == '{field}'");
    browser.until_true("what cannot be read is marked", &marked("replicas")).await;
    browser.script(&write("replicas: many", "replicasas: 3")).await;
    browser
        .until_true(
            "the server knows no such field",
            "return document.querySelector('.edit .error')?.innerText.includes('unknown field') ?? false",
        )
        .await;
    browser.until_true("it is marked", &marked("replicasas")).await;
    // What is no YAML is told in words of ours, and its line is marked, which is not the one of which libyaml tells.
    browser.script(&write("replicasas: 3", "replicas 3")).await;
    browser.until_true("the line is marked", &marked("replicas 3")).await;
    let words = browser.text(".edit .error").await;
    assert!(words.starts_with("Line ") && words.contains("A key needs a colon"), "{words}");
    browser.script(&write("replicas 3", "replicas: 3")).await;
    browser.until("the difference", ".diff .plus").await;
    // The cluster's schema completes and explains.
    browser
        .script(
            "const editor = document.querySelector('.editor').widget; editor.focus(); \
             const at = editor.text().indexOf('replicas: 3'); editor.view.dispatch({selection: {anchor: at}}); \
             editor.suggest()",
        )
        .await;
    let offered = "return [...document.querySelectorAll('.cm-tooltip-autocomplete li')] \
                   .some(item => item.innerText.startsWith('minReadySeconds'))";
    browser.until_true("the schema's fields are offered", offered).await;
    assert_eq!(browser.accessibility().await, Vec::<String>::new(), "the editor");
    let wide = "return document.querySelector('.editor').clientWidth > 560";
    browser.until_true("there is room for lines", wide).await;
    browser.click(".edit .actions .primary").await;
    let shown = browser.until("what was applied", ".yaml").await.text().await.unwrap_or_default();
    assert!(shown.contains("replicas: 3"), "{shown}");
    let applied = "return [...document.querySelectorAll('tbody tr')].some(row => row.innerText.includes('/3'))";
    browser.until_true("three are wanted", applied).await;
    browser.close().await;
}

#[tokio::test]
async fn editors_of_the_terminal_are_the_pages() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
    let opened = "return !!document.querySelector('.edit-file .editor')?.widget";
    let closed = "return !document.querySelector('.edit-file')";
    let editor = "const editor = document.querySelector('.edit-file .editor').widget";
    // A new file, by several lines at once, saved by the keyboard.
    browser.type_line("vi web.yaml").await;
    browser.until_true("vi opens the page's editor", opened).await;
    let keyboard = "return !!document.activeElement?.closest('.edit-file .editor')";
    browser.until_true("the editor has the keyboard", keyboard).await;
    assert_eq!(browser.text(".edit-file h2").await, "Edit /home/learner/web.yaml");
    assert_eq!(browser.accessibility().await, Vec::<String>::new(), "the dialog");
    let manifest = "apiVersion: v1\\nkind: ConfigMap\\nmetadata:\\n  name: edited\\ndata:\\n  colour: red\\n";
    browser.script(&format!("{editor}; editor.setText('{manifest}'); editor.focus()")).await;
    // Escape is a reflex in vi: what was written is not lost by it.
    browser.keys(".edit-file .cm-content", Key::Escape + "").await;
    browser.until("a word on it", ".edit-file .error").await;
    let save = Key::Control + "s";
    browser.keys(".edit-file .cm-content", save).await;
    browser.until_true("it is closed", closed).await;
    browser.type_line("kubectl apply -f web.yaml").await;
    browser.until_terminal(|text| text.contains("configmap/edited created"), "what was saved").await;
    // kubectl edit waits for it.
    browser.type_line("kubectl edit configmap edited").await;
    browser.until_true("kubectl edit opens it too", opened).await;
    browser.script(&format!("{editor}; editor.setText(editor.text().replace('colour: red', 'colour: blue'))")).await;
    browser.click(".edit-file .primary").await;
    browser.until_terminal(|text| text.contains("configmap/edited edited"), "what was edited").await;
    browser.type_line("kubectl get configmap edited -o jsonpath='{.data.colour}'").await;
    browser.until_terminal(|text| text.contains("\nblue"), "what is stored").await;
    // Nothing changes when it is cancelled; the keyboard is the terminal's again.
    browser.type_line("kubectl edit configmap edited").await;
    browser.until_true("it is open again", opened).await;
    browser.click(".edit-file .actions button:nth-child(2)").await;
    browser.until_terminal(|text| text.contains("Edit cancelled, no changes made."), "the cancellation").await;
    let focused = "return document.activeElement?.classList.contains('xterm-helper-textarea') ?? false";
    browser.until_true("the terminal has the keyboard", focused).await;
    // Whoever names an editor has it in the terminal.
    browser.type_line("EDITOR=vi vi web.yaml").await;
    browser.until_terminal(|text| text.contains("\"web.yaml\" 6L"), "vi's last line").await;
    assert_eq!(browser.script(closed).await, serde_json::Value::Bool(true));
    browser.close().await;
}

#[tokio::test]
async fn the_past_can_be_looked_at() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
    browser.type_line("kubectl create deployment web --image=nginx:1.27 --replicas=2").await;
    browser.click(".segmented button:nth-child(2)").await;
    browser.until_true("two pods are in the table", &format!("{PODS_READY} == 2")).await;
    browser.click(".segmented button:nth-child(1)").await;
    let on_top = "const bar = document.querySelector('.timeline').getBoundingClientRect(); \
                  return !!document.elementFromPoint(bar.x + bar.width / 2, bar.y + bar.height / 2).closest('.timeline')";
    browser.until_true("the map does not cover its history", on_top).await;
    browser.click(".segmented button:nth-child(2)").await;
    browser
        .script(
            "const range = document.querySelector('.timeline input'); range.value = 0; \
             range.dispatchEvent(new InputEvent('input', {bubbles: true}))",
        )
        .await;
    browser.until("the past", ".timeline.past").await;
    browser.until_true("no pod was there", &format!("{PODS_READY} == 0")).await;
    browser.click(".timeline .small").await;
    browser.until_true("they are there now", &format!("{PODS_READY} == 2")).await;
    browser.close().await;
}

/// Makes a Deployment and waits for its two pods, in the table.
async fn two_pods(browser: &Browser) {
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
    browser.type_line("kubectl create deployment web --image=nginx:1.27 --replicas=2").await;
    browser.click(".segmented button:nth-child(2)").await;
    browser.until_true("two pods are in the table", &format!("{PODS_READY} == 2")).await;
}

/// Waits until the page has come anew, with its cluster.
async fn until_anew(browser: &Browser) {
    browser.until_true("the page comes anew", "return !window.before").await;
    browser.until("the cluster is connected", ".link-state.up").await;
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
}

#[tokio::test]
async fn a_reload_resumes_and_a_reset_begins_anew() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
    // The page shows the cluster with which kubectl speaks.
    browser.type_line("kind create cluster --name two").await;
    browser.until_terminal(|text| text.contains("Have a nice day"), "another cluster").await;
    let shows_two = "return document.querySelector('.link-state').innerText.startsWith('kind-two')";
    browser.until_true("the page shows it", shows_two).await;
    // Its past can be looked at, and says why it is not gone on from.
    browser.type_line("kubectl create namespace elsewhere").await;
    browser.until_terminal(|text| text.contains("namespace/elsewhere created"), "a change").await;
    browser.click(".timeline .icon:not(:disabled)").await;
    browser.click(".timeline .fork[aria-disabled]").await;
    let why = "return document.querySelector('.timeline .what').innerText.startsWith('Only this tab')";
    browser.until_true("it says why", why).await;
    browser.click(".timeline .small:not(.fork)").await;
    browser.type_line("kubectl config use-context playground").await;
    browser.until_true("the page shows the first again", &shows_two.replace("return ", "return !")).await;
    browser.type_line("echo remembered > note.txt").await;
    two_pods(&browser).await;
    let uid = "kubectl get deployment web -o jsonpath='uid={.metadata.uid}='; echo";
    browser.type_line(uid).await;
    browser.until_terminal(|text| text.matches("uid=").count() > 1, "a uid").await;
    let shown = browser.terminal().await;
    let uid_before = shown.split("uid=").last().and_then(|rest| rest.split('=').next()).unwrap_or_default().to_owned();
    browser.until("all is saved", ".cluster-name.saved").await;

    browser.script("window.before = true; location.reload()").await;
    until_anew(&browser).await;
    browser.type_line(&format!("{uid}; cat note.txt; echo clusters: $(kind get clusters)")).await;
    browser.until_terminal(|text| text.contains(&format!("uid={uid_before}=")), "the same uid").await;
    browser.until_terminal(|text| text.contains("\nremembered"), "the file").await;
    browser.until_terminal(|text| text.contains("clusters: two"), "kind's cluster").await;
    browser.type_line("history | grep -c 'config use-context' | sed s/^/lines:/").await;
    browser.until_terminal(|text| text.contains("lines:2"), "the shell's history").await;
    browser.click(".segmented button:nth-child(2)").await;
    browser.until_true("both pods run again", &format!("{PODS_READY} == 2")).await;

    browser.click(".cluster-name").await;
    browser.until("the shelf", "dialog.clusters").await;
    browser.script("window.before = true; document.querySelector('dialog .reset').click()").await;
    until_anew(&browser).await;
    browser.type_line("kubectl get deployments").await;
    browser.until_terminal(|text| text.contains("No resources found"), "an empty cluster").await;
    browser.close().await;
}

#[tokio::test]
async fn the_past_goes_on_as_another_cluster() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    two_pods(&browser).await;
    let pods =
        "return [...document.querySelectorAll('tbody tr')].map(row => row.querySelector('.link').innerText).join()";
    let before = browser.script(pods).await;
    browser.type_line("kubectl delete deployment web").await;
    browser.until_true("the pods go", &format!("{PODS_READY} == 0")).await;
    // Undo: to before the deletion.
    browser.script("window.before = true; document.querySelector('.timeline .undo').click()").await;
    until_anew(&browser).await;
    browser.click(".segmented button:nth-child(2)").await;
    browser.until_true("two pods run again", &format!("{PODS_READY} == 2")).await;
    assert_eq!(browser.script(pods).await, before);
    browser
        .type_line(
            "kubectl get pods -o jsonpath='restarts: {.items[*].status.containerStatuses[*].restartCount}{\"\\n\"}'",
        )
        .await;
    browser.until_terminal(|text| text.contains("\nrestarts: 0 0\n"), "nothing has restarted").await;
    // And on from a revision that is scrubbed to.
    browser.type_line("kubectl scale deployment web --replicas=5").await;
    browser.until_true("five pods run", &format!("{PODS_READY} == 5")).await;
    browser
        .script(
            "const range = document.querySelector('.timeline input'); range.value = 0; \
             range.dispatchEvent(new InputEvent('input', {bubbles: true}))",
        )
        .await;
    browser.until("the past", ".timeline.past .fork").await;
    browser.script("window.before = true; document.querySelector('.timeline .fork').click()").await;
    until_anew(&browser).await;
    browser.type_line("kubectl get deployment web").await;
    browser.until_terminal(|text| text.contains("/2 "), "two replicas again").await;
    browser.click(".cluster-name").await;
    browser.until_true("all three are kept", "return document.querySelectorAll('.rows li').length == 3").await;
    browser.close().await;
}

#[tokio::test]
async fn a_link_holds_a_cluster() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    two_pods(&browser).await;
    browser.click(".cluster-name").await;
    browser.until("the shelf", "dialog.clusters").await;
    browser.script("document.querySelector('dialog section:last-of-type .small').click()").await;
    browser.until("the link", "input.address").await;
    let link = browser.script("return document.querySelector('input.address').value").await;
    let link = link.as_str().unwrap_or_default().to_owned();
    assert!(link.len() < 60_000, "{} characters", link.len());
    browser.driver.goto("about:blank").await.expect("another page");
    browser.driver.goto(&link).await.expect("the link");
    until_anew(&browser).await;
    let says = "return document.querySelector('.cluster-name').innerText.includes('Shared') && location.hash == ''";
    browser.until_true("it is a copy", says).await;
    browser.click(".segmented button:nth-child(2)").await;
    browser.until_true("two pods run", &format!("{PODS_READY} == 2")).await;
    // How far one comes in it is its own, and comes back with it.
    browser.until("nobody has begun", FIRST_CHECK_OPEN).await;
    browser.type_line("kubectl get nodes").await;
    browser.until("the first check holds", FIRST_CHECK_DONE).await;
    browser.until("all is saved", ".cluster-name.saved").await;
    browser.script("window.before = true; location.reload()").await;
    until_anew(&browser).await;
    browser.until("the progress is there", FIRST_CHECK_DONE).await;
    let open_another = "const rows = [...document.querySelectorAll('dialog.clusters .rows li')]; \
                        const other = rows.map(row => row.querySelector('button')).find(button => button && !button.disabled); \
                        if (!other) return false; window.before = true; other.click(); return true";
    for (which, check) in [("one's own", FIRST_CHECK_OPEN), ("the shared one", FIRST_CHECK_DONE)] {
        browser.click(".cluster-name").await;
        browser.until_true(which, open_another).await;
        until_anew(&browser).await;
        browser.until(which, check).await;
    }
    browser.close().await;
}

/// What one tab reaches the other one shows, and neither takes the other's steps away.
#[tokio::test]
async fn two_tabs_share_progress() {
    let address = static_page();
    let browser = Browser::open(&address, 1440, 900).await;
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
    let first = browser.driver.window().await.expect("a tab");
    let second = browser.driver.new_tab().await.expect("another tab");
    browser.driver.switch_to_window(second.clone()).await.expect("the other tab");
    browser.driver.goto(&address).await.expect("the page");
    until_anew(&browser).await;
    browser.until("nobody has begun", FIRST_CHECK_OPEN).await;
    browser.driver.switch_to_window(first.clone()).await.expect("the first tab");
    browser.type_line("kubectl get nodes").await;
    browser.until("the first check holds", FIRST_CHECK_DONE).await;
    browser.click(".lesson footer .primary").await;
    browser.until("the second step", ".steps li:nth-child(2) [aria-current]").await;
    // The step that is open is each tab's own.
    browser.driver.switch_to_window(second).await.expect("the other tab");
    browser.until("it holds here too", FIRST_CHECK_DONE).await;
    browser.click(".lesson footer .primary").await;
    browser.until("the second step", ".steps li:nth-child(2) [aria-current]").await;
    browser.type_line("kubectl apply -f hellodep.yaml").await;
    let all = "const checks = [...document.querySelectorAll('.checks li')]; \
               return checks.length > 0 && checks.every(check => check.classList.contains('done'))";
    browser.until_true("the second step is done", all).await;
    browser.driver.switch_to_window(first).await.expect("the first tab");
    browser.until_true("here too", all).await;
    browser.click(".lesson footer .quiet").await;
    browser.until("the first one is done still", FIRST_CHECK_DONE).await;
    browser.close().await;
}

#[tokio::test]
async fn an_address_types_a_command_and_embeds() {
    let address = static_page();
    let page = format!("{address}?embed=1&command=kubectl%20create%20deployment%20web%20--image%3Dnginx");
    let browser = Browser::open(&page, 900, 700).await;
    browser.until_terminal(|text| text.contains("deployment.apps/web created"), "the command's outcome").await;
    let hidden = "return !location.search.includes('command') && !document.querySelector('.cluster-name') && \
                  document.querySelector('.lesson-pane').getClientRects().length == 0";
    browser.until_true("only the cluster and a terminal are shown", hidden).await;
    browser.close().await;
}

/// Opens the palette by its key, writes what is wanted, and waits until it has gone with it.
async fn command(browser: &Browser, wanted: &str) {
    press(browser, ":").await;
    let ready = "const field = document.querySelector('dialog.palette[open] input'); \
                 return !!field && document.activeElement == field && !field.value";
    browser.until_true("the palette is there", ready).await;
    browser.keys("dialog.palette input", format!("{wanted}\n")).await;
    browser.until_true("the palette goes", "return !document.querySelector('dialog')").await;
}

/// Presses a key where nobody types.
async fn press(browser: &Browser, key: &str) {
    browser
        .script(&format!(
            "document.activeElement?.blur(); \
             document.body.dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}', bubbles: true, cancelable: true}}))"
        ))
        .await;
}

#[tokio::test]
async fn commands_are_a_key_away() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    two_pods(&browser).await;
    command(&browser, "deploy").await;
    let here = "return document.querySelector('.explorer nav [aria-current]')?.innerText == 'Deployment'";
    browser.until_true("Deployments are listed", here).await;
    press(&browser, "/").await;
    browser.until_true("the filter waits", "return document.activeElement?.type == 'search'").await;
    command(&browser, "next theme").await;
    browser.until_true("the theme has changed", "return document.documentElement.dataset.theme == 'dark'").await;
    // Whoever knows the keys waits for nothing.
    let at_once = "document.activeElement?.blur(); for (const key of [':', ...'svc', 'Enter']) \
                   document.body.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}))";
    browser.script(at_once).await;
    browser.until_true("Services are listed", &here.replace("Deployment", "Service")).await;
    command(&browser, "中文").await;
    browser
        .until_true("the page speaks Chinese", "return document.querySelector('.segmented').innerText.includes('地图')")
        .await;
    assert!(browser.terminal().await.contains("created"), "the terminal stays");
    // Whoever writes where nothing can be written writes into the terminal.
    browser.script("document.activeElement?.blur()").await;
    browser.keys("body", "echo pu$((1+1))\n").await;
    browser.until_terminal(|text| text.contains("\npu2"), "the line was typed").await;
    browser.close().await;
}

#[tokio::test]
async fn what_is_broken_can_be_healed() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    two_pods(&browser).await;
    browser.click(".fault-button").await;
    browser.until("the panel", "dialog.faults .row").await;
    browser.script("document.querySelectorAll('dialog.faults .row')[1].querySelector('button').click()").await;
    browser.until("the fault is in force", "dialog.faults .heal").await;
    browser.until("the button counts it", ".fault-button .count").await;
    browser.click(".clock select option[value='100']").await;
    browser.click("dialog.faults header .icon").await;
    browser.type_line("kubectl get nodes").await;
    browser.script("document.querySelectorAll('.explorer nav button')[5].click()").await;
    let fallen = "return document.querySelector('tbody')?.innerText.includes('NotReady') ?? false";
    browser.until_true("the node is not ready", fallen).await;
    // A row is chosen wherever it is clicked.
    browser.script("document.querySelectorAll('tbody tr')[1].querySelector('td:last-child').click()").await;
    let told = "return document.querySelector('.why')?.innerText.includes('Its power is off') ?? false";
    browser.until_true("the node says what Kubernetes does not know", told).await;
    browser.click(".fault-button").await;
    browser.click("dialog.faults .heal").await;
    browser.until_true("nothing is broken", "return !document.querySelector('.fault-button .count')").await;
    browser.click("dialog.faults header .icon").await;
    let back = "return !(document.querySelector('tbody')?.innerText.includes('NotReady') ?? true)";
    browser.until_true("the node is back", back).await;
    // The map's menu breaks what is chosen.
    browser.script("document.querySelector('tbody .link').click()").await;
    browser.click(".segmented button:nth-child(1)").await;
    browser
        .script(
            "document.querySelector('.map canvas').dispatchEvent(new MouseEvent('contextmenu', \
             {bubbles: true, cancelable: true, clientX: 380, clientY: 60}))",
        )
        .await;
    browser.until("the menu", "[role=menu]").await;
    browser
        .until_true("it has what can go wrong", "return document.querySelectorAll('[role=menuitem]').length > 4")
        .await;
    browser.close().await;
}

#[tokio::test]
async fn terminals_are_many_and_take_files() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
    let drop = |name: &str, text: &str| {
        format!(
            "const data = new DataTransfer(); data.items.add(new File([`{text}`], '{name}')); \
             document.querySelector('.terminals').dispatchEvent(new DragEvent('drop', \
             {{dataTransfer: data, bubbles: true, cancelable: true}}))"
        )
    };
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: words\n  uid: 12\n  resourceVersion: \"7\"\n  creationTimestamp: null\ndata:\n  a: b\n";
    browser.script(&drop("my words.yaml", manifest)).await;
    browser.until_terminal(|text| text.contains("configmap/words created"), "what was applied").await;

    browser.click(".terminal-bar > .icon").await;
    browser.until_true("there are two tabs", "return document.querySelectorAll('.shells button').length == 2").await;
    browser.click(".terminal-bar > .icon:nth-of-type(2)").await;
    let both =
        "return [...document.querySelectorAll('.shell')].filter(shell => shell.getClientRects().length).length == 2";
    browser.until_true("both are shown", both).await;
    let second = "return document.querySelectorAll('.shell > .terminal')[1]?.widget?.text().includes('$') ?? false";
    browser.until_true("the second has a shell", second).await;
    browser.click(".shells button").await;
    browser.click(".terminal-bar > .icon:nth-of-type(3)").await;
    browser.keys(".find input", "words created\n").await;
    let marked = "return document.querySelector('.terminal').widget.xterm.getSelection() == 'words created'";
    browser.until_true("it is marked", marked).await;
    browser.close().await;
}

#[tokio::test]
async fn axe_finds_nothing_in_what_lies_over_the_page() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    choose_a_pending_pod(&browser).await;
    for theme in ["light", "dark", "contrast"] {
        browser.until("the theme", &format!("[data-theme={theme}]")).await;
        assert_eq!(browser.accessibility().await, Vec::<String>::new(), "{theme}");
        for (button, dialog) in
            [(".cluster-name", "clusters"), (".fault-button", "faults"), (".palette-button", "palette")]
        {
            browser.click(button).await;
            browser.until("the dialog", &format!("dialog.{dialog}[open]")).await;
            let settled = "return document.getAnimations().every(animation => animation.playState == 'finished')";
            browser.until_true("it has come", settled).await;
            assert_eq!(browser.accessibility().await, Vec::<String>::new(), "{theme} {dialog}");
            browser.keys("dialog[open]", Key::Escape + "").await;
            browser.until_true("it goes", "return !document.querySelector('dialog')").await;
        }
        browser.click(".top-end > .icon").await;
    }
    browser.close().await;
}

#[tokio::test]
async fn axe_finds_nothing() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    choose_a_pending_pod(&browser).await;
    browser.until("why", ".why").await;
    for view in [2, 1] {
        browser.click(&format!(".segmented button:nth-child({view})")).await;
        assert_eq!(browser.accessibility().await, Vec::<String>::new(), "view {view}");
    }
    browser.click(".top-end > .icon").await;
    assert_eq!(browser.accessibility().await, Vec::<String>::new(), "the other theme");
    browser.click(".eyebrow .link").await;
    browser.until("the catalogue", ".catalogue li").await;
    assert_eq!(browser.accessibility().await, Vec::<String>::new(), "the catalogue");
    browser.close().await;
}

#[tokio::test]
async fn what_happened_is_played_step_by_step() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
    browser.type_line("kubectl create deployment web --image=nginx:1.27 --replicas=2").await;
    let ready = "return [...document.querySelectorAll('.stories code')].some(line => line.innerText == \
                 'kubectl create deployment web --image=nginx:1.27 --replicas=2')";
    browser.until_true("the command has a story", ready).await;
    press(&browser, ";").await;
    browser.until("its steps", ".story-steps li").await;
    let ended = "return document.querySelector('.story-steps').innerText.includes('StartContainer')";
    browser.until_true("the chain has come to its end", ended).await;
    let told = browser.text(".story-steps").await;
    for part in [
        "kubectl creates Deployment web",
        "deployment-controller hears of Deployment web",
        "deployment-controller creates ReplicaSet",
        "replicaset-controller creates 2 pods",
        "kube-scheduler chooses a node for",
        "tells its runtime: StartContainer",
    ] {
        assert!(told.contains(part), "{part} is not in:\n{told}");
    }
    // By the keyboard: to the beginning, and on.
    browser.keys(".story-steps [aria-current]", Key::Home + "").await;
    browser
        .until_true(
            "the first step",
            "return document.querySelector('.story-detail h3').innerText == \
        'kubectl creates Deployment web'",
        )
        .await;
    let plus =
        "return document.querySelector('.story-detail .diff')?.innerText.includes('+ kind: Deployment') ?? false";
    browser.until_true("what it stored", plus).await;
    browser.until("the page shows that time", ".timeline.past").await;
    assert_eq!(browser.accessibility().await, Vec::<String>::new(), "the story");
    browser.keys(".story-steps [aria-current]", Key::Right + "").await;
    browser
        .until_true(
            "who hears of it",
            "return document.querySelector('.story-detail h3').innerText == \
        'deployment-controller hears of Deployment web'",
        )
        .await;
    // The present has no light on a step; the story is where it was, until it is left.
    browser.until("the map's light", ".map[data-lit]").await;
    browser
        .script("[...document.querySelectorAll('.timeline button')].find(button => button.innerText == 'Back to now').click()")
        .await;
    let present = "return !document.querySelector('.timeline.past') && !document.querySelector('.map[data-lit]')";
    browser.until_true("the page is back in the present", present).await;
    browser.keys(".story-steps [aria-current]", Key::Escape + "").await;
    browser.until("the stories", ".stories").await;
    browser.close().await;
}

#[tokio::test]
async fn a_paused_cluster_says_so_where_one_types() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
    browser.click(".clock .icon").await;
    browser.click(".stands-still .small").await;
    browser.until_true("time goes on", "return !document.querySelector('.clock.paused')").await;
    browser.close().await;
}

#[tokio::test]
async fn lessons_are_read_in_chinese() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    browser.click(".language").await;
    browser
        .until_true("the lesson is Chinese", "return document.querySelector('.lesson h1')?.innerText == '你好，集群'")
        .await;
    let command = browser.text(".command code").await;
    assert_eq!(command, "kubectl get nodes");
    browser.click(".eyebrow .link").await;
    browser
        .until_true(
            "so is the catalogue",
            "return document.querySelector('.catalogue h2')?.innerText == '试试 Kubernetes'",
        )
        .await;
    browser.close().await;
}

/// Who has only looked in finds page and cluster again without a network, and is told what is missing; who has begun
/// to work finds everything.
#[tokio::test]
async fn the_page_is_there_without_a_network() {
    let (address, gone) = page_that_goes();
    let browser = Browser::open(&address, 1440, 900).await;
    let installed = "const [done] = arguments; navigator.serviceWorker.ready.then(() => done(true))";
    let ready = browser.driver.execute_async(installed, Vec::new()).await.expect("a service worker");
    assert_eq!(ready.json(), &serde_json::Value::Bool(true));
    browser.until("all is saved", ".cluster-name.saved").await;
    let reload_without = async |without: bool| {
        gone.store(without, Ordering::Relaxed);
        browser.script("window.before = true; location.reload()").await;
        until_anew(&browser).await;
    };
    reload_without(true).await;
    browser.type_line("kubectl get nodes").await;
    browser.until_terminal(|text| text.contains("could not be loaded"), "what is missing").await;

    reload_without(false).await;
    browser.type_line("kubectl get nodes").await;
    browser.until_terminal(|text| text.contains("hello-control-plane"), "the nodes").await;
    let kept = "const [done] = arguments; const kept = async () => { \
        const script = await (await fetch('offline.js')).text(); \
        const later = JSON.parse(script.match(/LATER = (\\[.*?\\])/)[1]); \
        const found = await Promise.all(later.map((file) => caches.match(new URL(file, location.href)))); \
        if (later.length > 0 && found.every(Boolean)) done(true); else setTimeout(kept, 200); }; kept()";
    let kept = browser.driver.execute_async(kept, Vec::new()).await.expect("everything kept");
    assert_eq!(kept.json(), &serde_json::Value::Bool(true));
    reload_without(true).await;
    browser.type_line("kubectl create job one --image=busybox").await;
    browser.until_terminal(|text| text.contains("job.batch/one created"), "a rare kind").await;
    browser.close().await;
}

/// 200 % of 1440 by 900, and a phone held upright: nothing reaches beyond the screen, nothing lies on another.
#[tokio::test]
async fn everything_has_room_when_it_is_large() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    two_pods(&browser).await;
    for (width, height) in [(720, 500), (500, 844)] {
        browser.resize(width, height).await;
        for tab in 1..=4 {
            browser.click(&format!(".bottom button:nth-child({tab})")).await;
            let wide = browser.script("return document.documentElement.scrollWidth > innerWidth").await;
            assert_eq!(wide, serde_json::Value::Bool(false), "{width} pixels, pane {tab}");
            assert_eq!(browser.accessibility().await, Vec::<String>::new(), "{width} pixels, pane {tab}");
        }
        // What is chosen has the whole width, and nothing within it can move the page.
        browser.script("document.querySelector('tbody .link').click()").await;
        let whole = "const pane = document.querySelector('.inspector-pane').getBoundingClientRect(); \
                     return innerWidth > 760 || pane.width == innerWidth";
        browser.until_true("the inspector has the width", whole).await;
        let still = "return document.scrollingElement.scrollHeight <= innerHeight";
        assert_eq!(browser.script(still).await, serde_json::Value::Bool(true), "{width} pixels");
        browser.click(".bottom button:nth-child(2)").await;
        let squeezed = "return [...document.querySelectorAll('.explorer nav button')].some(kind => kind.scrollWidth > kind.clientWidth + 1)";
        assert_eq!(browser.script(squeezed).await, serde_json::Value::Bool(false), "kinds can be read");
    }
    browser.close().await;
}

#[tokio::test]
async fn a_table_has_keys_for_its_rows() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    two_pods(&browser).await;
    let second = browser
        .script(
            "document.querySelector('tbody .link').focus(); \
        return document.querySelectorAll('tbody .link')[1].innerText",
        )
        .await;
    browser.keys("tbody .link:focus", "j").await;
    browser.until_true("the next row", &format!("return document.activeElement.innerText == {second}")).await;
    browser.keys("tbody .link:focus", "d").await;
    let name = second.as_str().unwrap_or_default().to_owned();
    browser.until_terminal(|text| text.contains(&format!("kubectl describe pods {name}")), "the command").await;
    browser.close().await;
}

#[tokio::test]
async fn a_workload_shows_its_family_and_all_logs() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    two_pods(&browser).await;
    browser.script("document.querySelectorAll('.explorer nav button')[1].click()").await;
    browser
        .until_true("Deployments are listed", "return document.querySelector('tbody .link')?.innerText == 'web'")
        .await;
    browser.click("tbody .link").await;
    browser.until_true("ReplicaSet and pods", "return document.querySelectorAll('.family .member').length == 4").await;
    browser.click(".tabs button:last-child").await;
    let both = "return new Set([...document.querySelectorAll('.log .source')].map(from => from.innerText)).size == 2";
    browser.until_true("lines of both pods", both).await;
    browser.close().await;
}
