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
