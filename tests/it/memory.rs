//! The memory of the real binary: what exceeds its budgets is freed.

use serde_json::json;

use crate::process::Process;

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_the_number_of_sessions() {
    let budgets = ["--recordings-memory-bytes", "4MiB", "--recordings-trajectory-bytes", "2MiB"];
    let process = Process::ready(&budgets).await;
    let edit = |seed: u64| {
        let source = json!({"prompt": "a cat", "seed": seed, "steps": 2, "size": "64x64"});
        let (status, answer) =
            process.call("POST", "/v1/edits", Some(&json!({"source": source, "prompt": "a dog"}))).unwrap();
        assert_eq!((status, &answer["session"]["recording"]), (200, &json!("created")), "{answer}");
    };
    // The allocator reaches its working size first.
    (0..20).for_each(edit);
    let before = process.resident_bytes();
    (20..100).for_each(edit);
    let grown = process.resident_bytes().saturating_sub(before);
    // Were they all kept, these eighty would take about 20 MB. The allocator's own drift is one or two.
    assert!(grown < 8 << 20, "{grown} bytes more after 80 edits");
}
