//! A folder in use: its lock, the texts that never become paths, and what is left after errors.

use std::fs;

use crate::recordings::disk::Folder;
use crate::recordings::disk::tests::{
    MODEL, OTHER_MODEL, file, id, names_below, open, record, session_dir, source, temp_dir, tensors,
};
use crate::recordings::part::Part;
use crate::recordings::session_id::SessionId;
use crate::recordings::store::{Content, FileFault, RecordingStore, StoreError};

#[test]
fn a_folder_is_made_where_it_is_not_there() {
    let dir = temp_dir();
    let folder = Folder::open(&dir.path().join("a/b"), MODEL).expect("opened");
    let found = folder.list().expect("listed");
    assert!(found.sessions.is_empty() && found.refused.is_empty());
}

#[test]
fn sizes_are_those_of_the_files() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    record(&folder, 1, &[Part::Trajectory]);
    let size = |content: Content<'_>| folder.size(&id(1), content).expect("a size");
    let length = |name: &str| fs::metadata(file(&dir, 1, name)).expect("a file").len();
    assert_eq!(size(Content::Source(&source(1))), length("source.json"));
    assert_eq!(size(Content::Part(Part::Trajectory, &tensors())), length("trajectory.safetensors"));
}

#[test]
fn a_write_that_fails_leaves_no_file() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    record(&folder, 1, &[]);
    // A folder has the name that the file is to have.
    fs::create_dir(session_dir(&dir, 1).join("trajectory.safetensors")).expect("a folder");
    let error = folder.put(&id(1), Content::Part(Part::Trajectory, &tensors())).expect_err("not written");
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert_eq!(names_below(&session_dir(&dir, 1)), ["source.json", "trajectory.safetensors"]);
}

#[test]
fn a_deleted_session_leaves_nothing() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    record(&folder, 1, &[Part::Trajectory]);
    folder.delete(&id(1)).expect("deleted");
    assert_eq!(names_below(&dir.path().join(&MODEL[..16])), [".lock"]);
}

#[test]
fn a_file_that_was_changed_is_refused_until_it_is_deleted() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    record(&folder, 1, &[Part::Trajectory]);
    let path = file(&dir, 1, "trajectory.safetensors");
    let mut bytes = fs::read(&path).expect("bytes");
    *bytes.last_mut().expect("a byte") ^= 1;
    fs::write(&path, bytes).expect("written");
    let error = folder.get(&id(1), Part::Trajectory).expect_err("refused");
    assert_eq!(error.fault(), Some(FileFault::Damaged));
    assert_eq!(error.to_string(), "refused as damaged: wrong checksum");
    folder.delete_part(&id(1), Part::Trajectory).expect("deleted");
    assert!(matches!(folder.get(&id(1), Part::Trajectory), Err(StoreError::Missing)));
}

#[test]
fn texts_of_clients_never_become_paths_unless_they_have_the_form_of_an_id() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("trajectory.safetensors"), "kept").expect("a file");
    let absolute = outside.to_str().expect("a path").to_owned();
    for text in ["../outside", "../../outside", "", ".", "..", "ses_", "ses_\0", ".lock", &absolute] {
        let id = SessionId::from_client(text);
        let results = [
            folder.find(&id).map(drop),
            folder.get(&id, Part::Trajectory).map(drop),
            folder.put(&id, Content::Part(Part::Trajectory, &[])).map(drop),
            folder.put(&id, Content::Source(&source(1))).map(drop),
            folder.delete_part(&id, Part::Trajectory),
            folder.delete(&id),
            folder.touch(&id),
        ];
        for result in results {
            assert!(matches!(result, Err(StoreError::NotAnAddress(_))), "{text}: {result:?}");
        }
    }
    assert_eq!(fs::read(outside.join("trajectory.safetensors")).expect("still there"), b"kept");
    assert_eq!(names_below(&outside), ["trajectory.safetensors"]);
    assert_eq!(names_below(dir.path()), [&MODEL[..16], "outside"]);
    assert!(matches!(Folder::open(dir.path(), "../outside/../../.."), Err(StoreError::NotAnAddress(_))));
}

#[test]
fn a_folder_that_is_open_cannot_be_opened_again_until_it_is_closed() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    record(&folder, 1, &[Part::Trajectory]);
    let error = Folder::open(dir.path(), MODEL).expect_err("in use");
    assert!(matches!(error, StoreError::InUse(_)), "{error}");
    assert!(error.to_string().contains(&MODEL[..16]) && error.to_string().contains("in use by another process"));
    assert!(folder.get(&id(1), Part::Trajectory).is_ok(), "the one that has it is not disturbed");
    drop(folder);
    assert_eq!(open(&dir).1.sessions.len(), 1);
}

#[test]
fn two_models_share_a_folder_and_never_see_each_other() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    record(&folder, 1, &[Part::Trajectory]);
    let other = Folder::open(dir.path(), OTHER_MODEL).expect("opened beside");
    let found = other.list().expect("listed");
    assert!(found.sessions.is_empty() && found.refused.is_empty());
    let others_id = source(1).session_id(OTHER_MODEL);
    other.put(&others_id, Content::Source(&source(1))).expect("written");
    other.delete(&id(1)).expect("nothing to do");
    drop((folder, other));

    let (_folder, found) = open(&dir);
    assert_eq!(found.sessions.iter().map(|session| &session.id).collect::<Vec<_>>(), [&id(1)]);
    assert!(found.refused.is_empty());
    let found = Folder::open(dir.path(), OTHER_MODEL).expect("opened beside").list().expect("listed");
    assert_eq!(found.sessions.iter().map(|session| &session.id).collect::<Vec<_>>(), [&others_id]);
}
