//! The size of response headers. nginx and other proxies refuse more than 4 kB unless they are configured otherwise;
//! `deploy/test/nginx.sh` sends the same prompts through a real nginx.

use reprompt::api::ApiConfig;
use reprompt::api::guard::GuardConfig;
use serde_json::{Value, json};

use crate::support::{Service, config, model};

/// Prompts of almost 77 tokens of CLIP's vocabulary, in alphabets that take three times their bytes in escapes.
const PROMPTS: [&str; 3] = [
    "γάτα στην παραλία στο ηλιοβασίλεμα με το",
    "قطة بيضاء تجلس على الشاطئ عند غروب الشمس مع كلب كبير وسفينة بيضاء كبيرة في البحر",
    "a fluffy ginger kitten playing with yellow yarn in a cosy bedroom in the very very very very very very very \
     very very very very very very very very very very very very very very very very very very old soft house",
];

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_images_fit_into_a_proxys_buffer_and_name_what_is_missing() {
    let guard = GuardConfig { cors_origins: vec!["http://localhost:*".parse().unwrap()], ..GuardConfig::default() };
    let id = "i".repeat(128);
    let headers = [("accept", "image/png"), ("origin", "http://localhost:3000"), ("x-request-id", id.as_str())];
    let mut omitted = Vec::new();
    let api = ApiConfig { guard, ..ApiConfig::default() };
    let service = Service::with_api(model("tiny-sd1"), config(), api).await;
    for prompt in PROMPTS {
        let source = json!({"prompt": prompt, "seed": 1, "steps": 1, "size": "64x64"});
        let edit = json!({"source": source, "prompt": format!("{prompt}.")});
        let image = service.post_with("/v1/edits", &edit, &headers).await;
        assert_eq!(image.status, 200, "{prompt}: {}", String::from_utf8_lossy(&image.body));
        let lines = image.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
        // The connection adds the status line, the date, the length and the empty line.
        let total = lines.sum::<usize>() + 200;
        // nginx reads the status line and all headers into a buffer of 4096 bytes by default.
        assert!(total <= 3500, "{prompt}: {total} bytes");

        let whole = service.post("/v1/edits", &edit).await.json();
        let missing = image.header("x-reprompt-omitted").to_owned();
        for field in ["warnings", "windows", "alignment"] {
            let header = format!("x-reprompt-{field}");
            match image.headers.get(&header) {
                Some(value) => {
                    let value: Value = serde_json::from_str(value.to_str().unwrap()).unwrap();
                    assert_eq!(value, whole[field], "{header}");
                }
                None => {
                    assert!(missing.split(", ").any(|name| name == header), "{header} is not among {missing:?}");
                    omitted.push(header);
                }
            }
        }
    }
    assert!(omitted.len() >= 2, "no prompt was long enough: {omitted:?}");
}
