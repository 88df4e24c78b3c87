//! The page, its cluster in a Web Worker, as a person uses it: in Chromium, by WebDriver.

use playground_tests::browser::{Browser, static_page};

/// The rows of the table, when it is shown.
const PODS_READY: &str =
    "return [...document.querySelectorAll('tbody tr')].filter(row => row.innerText.includes('1/1')).length";

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
    browser.close().await;
}

#[tokio::test]
async fn the_first_lesson_can_be_completed() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
    let steps = browser.script("return document.querySelectorAll('.steps li').length").await.as_u64().unwrap_or(0);
    for step in 1..=steps {
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
    let pending = "[...document.querySelectorAll('tbody tr')].find(row => row.innerText.includes('Pending'))";
    browser.until_true("a pod is pending", &format!("return !!{pending}")).await;
    browser.script(&format!("{pending}.querySelector('button').click()")).await;
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
    browser.until("the editor", ".edit textarea").await;
    let write = |from: &str, to: &str| {
        format!(
            "const area = document.querySelector('.edit textarea'); area.value = area.value.replace('{from}', '{to}'); \
             area.dispatchEvent(new InputEvent('input', {{bubbles: true}}))"
        )
    };
    browser.script(&write("replicas: 1", "replicas: many")).await;
    browser.click(".edit .actions .small").await;
    browser.until("the server's error", ".edit .error").await;
    browser.script(&write("replicas: many", "replicas: 3")).await;
    browser.click(".edit .actions .small").await;
    browser.until("the difference", ".diff .plus").await;
    browser.click(".edit .actions .primary").await;
    let applied = "return [...document.querySelectorAll('tbody tr')].some(row => row.innerText.includes('/3'))";
    browser.until_true("three are wanted", applied).await;
    browser.close().await;
}

#[tokio::test]
async fn the_past_can_be_looked_at() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
    browser.type_line("kubectl create deployment web --image=nginx:1.27 --replicas=2").await;
    browser.click(".segmented button:nth-child(2)").await;
    browser.until_true("two pods are in the table", &format!("{PODS_READY} == 2")).await;
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
