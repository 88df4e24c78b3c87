//! Takes the README's pictures: `cargo xtask screenshot`.

use std::time::Duration;

use playground_tests::browser::{Browser, static_page};
use playground_tests::root;

#[tokio::test]
#[ignore = "writes docs/*.png; `cargo xtask screenshot` runs it"]
async fn take() {
    let browser = Browser::open(&static_page(), 1440, 900).await;
    browser.until_terminal(|text| text.contains('$'), "a prompt").await;
    for (line, answer) in [
        ("kubectl apply -f hellodep.yaml", "hellodep created"),
        ("kubectl apply -f helloservice.yaml", "helleservice created"),
        ("kubectl scale deployment hellodep --replicas=5", "scaled"),
    ] {
        browser.type_line(line).await;
        browser.until_terminal(|text| text.contains(answer), answer).await;
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    browser.type_line("kubectl get pods -o wide").await;
    browser.type_line("curl http://localhost:30950").await;
    browser.click(".steps li:nth-child(3) button").await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    save(&browser, "page").await;
    browser.click(".top-end > .icon").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    save(&browser, "page-dark").await;
    browser.resize(500, 900).await;
    browser.click(".bottom button:nth-child(2)").await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    save(&browser, "page-phone").await;
    browser.close().await;
}

async fn save(browser: &Browser, name: &str) {
    let folder = root().join("docs");
    std::fs::create_dir_all(&folder).expect("docs/");
    browser.driver.screenshot(&folder.join(format!("{name}.png"))).await.expect("a picture");
}
