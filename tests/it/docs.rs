//! `GET /docs`: a page that needs nothing but this service.

use crate::support::Service;

/// The values of an attribute.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    page.split(&format!("{attribute}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_the_page_refers_to_is_served_beside_it() {
    let service = Service::fake().await;
    let page = service.get("/docs").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    let html = String::from_utf8(page.body.clone()).unwrap();
    let files = [values(&html, "src"), values(&html, "href")].concat();
    assert_eq!(files.len(), 4, "{files:?}");
    let mut script = String::new();
    for file in files {
        let answer = service.get(&format!("/{file}")).await;
        assert_eq!(answer.status, 200, "{file}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let kind = match file.rsplit('.').next().unwrap() {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "png" => "image/png",
            other => panic!("{file}: {other} is not served so far"),
        };
        assert_eq!(answer.header("content-type"), kind, "{file}");
        if file.ends_with("start.js") {
            script = String::from_utf8(answer.body).unwrap();
        } else {
            assert!(answer.body.len() > 500, "{file}");
        }
    }
    assert!(script.contains("url: \"openapi.json\""), "{script}");
    assert_eq!(service.get("/openapi.json").await.json(), reprompt::api::openapi::json());
    assert_eq!(service.get("/docs/other.js").await.json()["code"], "not_found");
    assert_eq!(service.get("/docs/%ff").await.json()["code"], "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_policy_lets_nothing_in_from_elsewhere() {
    let page = Service::fake().await.get("/docs").await;
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    let html = String::from_utf8(page.body).unwrap();
    assert!(!html.contains("://") && !html.contains("<style") && html.matches("</script>").count() == 2, "{html}");
    assert!(html.matches("<script src=").count() == 2, "no script is written into the page");
}
