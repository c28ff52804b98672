//! The playground's page over HTTP.

use axum::body::Body;
use axum::http::{Method, Request};

use crate::support::Service;

/// What an attribute of the page says, each time it is there.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    page.split(start.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_all_that_it_names_are_served() {
    let service = Service::fake().await;
    let page = service.get("/").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    let text = String::from_utf8(page.body.clone()).unwrap();
    let named = [attributes(&text, "src"), attributes(&text, "href")].concat();
    let own: Vec<_> = named.into_iter().filter(|address| address.starts_with("assets/")).collect();
    assert!(own.len() > 6, "{own:?}");
    for address in own {
        let answer = service.get(&format!("/{address}")).await;
        assert_eq!(answer.status, 200, "{address}");
        let wanted = match address.rsplit_once('.').unwrap().1 {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            other => panic!("{address}: {other} is not served so far"),
        };
        assert_eq!(answer.header("content-type"), wanted, "{address}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_a_file_gets_not_modified() {
    let service = Service::fake().await;
    for path in ["/", "/assets/js/main.js"] {
        let first = service.get(path).await;
        assert_eq!(first.header("cache-control"), "no-cache", "{path}");
        let request = Request::get(path).header("if-none-match", first.header("etag")).body(Body::empty()).unwrap();
        let again = service.send(request).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("etag"), first.header("etag"));
        let head = Request::builder().method(Method::HEAD).uri(path).body(Body::empty()).unwrap();
        let head = service.send(head).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_allows_what_is_served_here_and_nothing_within_the_markup() {
    let service = Service::fake().await;
    let page = service.get("/").await;
    let policy = page.header("content-security-policy");
    for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let text = String::from_utf8(page.body).unwrap();
    assert!(!text.contains("<style") && attributes(&text, "style").is_empty());
    assert_eq!(text.matches("<script").count(), text.matches("<script src=\"assets/").count() + 1);
    assert!(text.contains("<script type=\"module\" src=\"assets/js/main.js\"></script>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_of_the_page_is_a_problem() {
    let service = Service::fake().await;
    for path in ["/assets/js/none.js", "/assets/../Cargo.toml", "/assets/%2e%2e/Cargo.toml", "/assets/"] {
        let answer = service.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (404, "application/problem+json"),
            "{path}"
        );
    }
}
