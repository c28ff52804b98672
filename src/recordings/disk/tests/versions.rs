//! Files that an earlier version has written: recognised as foreign, counted and deleted, never misread.
//!
//! `version-2/` holds a session as the last version with ids of the first derivation wrote it: the source of these tests
//! with seed 1, and two small parts.

use std::fs;

use crate::recordings::disk::Part;
use crate::recordings::disk::tests::{MODEL, file, id, names_below, open, record, session_dir, source, temp_dir};
use crate::recordings::session_id::SessionId;
use crate::recordings::store::{FileFault, RecordingStore, StoreError};

const OLD_ID: &str = "ses_f16363a08a0f991ed4aec517f38e40b1";
const FILES: [(&str, &[u8]); 3] = [
    ("source.json", include_bytes!("version-2/source.json")),
    ("trajectory.safetensors", include_bytes!("version-2/trajectory.safetensors")),
    ("cross-000.safetensors", include_bytes!("version-2/cross-000.safetensors")),
];

#[test]
fn a_session_of_version_2_is_foreign_and_deleted() {
    let dir = temp_dir();
    record(&open(&dir).0, 2, &[Part::Trajectory]);
    let old = dir.path().join(&MODEL[..16]).join(OLD_ID);
    fs::create_dir(&old).expect("a folder");
    for (name, bytes) in FILES {
        fs::write(old.join(name), bytes).expect("a file");
    }
    let (_folder, found) = open(&dir);
    assert_eq!(found.refused, [FileFault::Foreign]);
    assert_eq!(found.sessions.iter().map(|session| &session.id).collect::<Vec<_>>(), [&id(2)]);
    assert!(!old.exists());
}

#[test]
fn files_of_version_2_are_foreign_under_todays_id_of_the_same_source_too() {
    let dir = temp_dir();
    assert_ne!(id(1), SessionId::from_client(OLD_ID), "ids are derived anew");
    let (folder, _) = open(&dir);
    record(&folder, 1, &[]);
    for (name, bytes) in &FILES[1..] {
        fs::write(file(&dir, 1, name), bytes).expect("a file");
    }
    for part in [Part::Trajectory, Part::cross(0)] {
        assert!(matches!(folder.get(&id(1), part), Err(StoreError::Foreign(_))), "{part}");
    }
    drop(folder);
    let (folder, found) = open(&dir);
    assert_eq!(found.refused, [FileFault::Foreign; 2]);
    assert_eq!((&found.sessions[0].source, found.sessions[0].parts.len()), (&source(1), 0));
    assert_eq!(names_below(&session_dir(&dir, 1)), ["source.json"]);
    drop(folder);

    fs::write(file(&dir, 1, "source.json"), FILES[0].1).expect("a file");
    let (_folder, found) = open(&dir);
    assert_eq!((found.sessions.len(), found.refused), (0, vec![FileFault::Foreign]));
    assert!(!session_dir(&dir, 1).exists());
}
