//! The number of threads changes how long an image takes, and not one of its bytes.

use std::num::NonZeroUsize;

use candle_core::DType;
use reprompt::engine::EngineConfig;
use serde_json::json;

use crate::support::{Service, config, image, model};

#[tokio::test(flavor = "multi_thread")]
async fn an_images_bytes_do_not_depend_on_the_number_of_threads() {
    let source = json!({"prompt": "a house in the forest", "seed": 3, "num_inference_steps": 6});
    let edit = json!({
        "source": source, "prompt": "a castle in the forest at night", "local_blend": true, "include_source": true,
    });
    for dtype in [DType::F32, DType::BF16] {
        let mut known = Vec::new();
        for threads in [1, 2, 3] {
            let threads = NonZeroUsize::new(threads).unwrap();
            let service = Service::start(model("demo"), EngineConfig { threads, dtype, ..config() }).await;
            // Cold, four rows of a pass, and of a recorded source, two.
            for _ in 0..2 {
                let answer = service.post("/v1/edits", &edit).await.json();
                known.push((image(&answer, "source"), image(&answer, "edit")));
            }
        }
        assert!(known.windows(2).all(|pair| pair[0] == pair[1]), "{dtype:?}");
        assert!(known[0].0 != known[0].1);
    }
}
