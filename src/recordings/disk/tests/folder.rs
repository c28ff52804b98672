//! A folder in use: what is there, what is not, who may have it, and which texts never become paths.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::recordings::SessionId;
use crate::recordings::disk::FileFault;
use crate::recordings::disk::tests::{
    MODEL, OTHER_MODEL, bits, file, id, names_below, open, record, session_dir, source, temp_dir, tensors,
};
use crate::recordings::disk::{DiskError, Folder, Part};

#[test]
fn a_folder_is_made_where_it_is_not_there() {
    let dir = temp_dir();
    let (_folder, found) = Folder::open(&dir.path().join("a/b"), MODEL).expect("opened");
    assert!(found.sessions.is_empty() && found.refused.is_empty());
}

#[test]
fn the_length_of_a_sources_file_is_known_before_it_is_written() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    let written = folder.write_source(&folder.begin(&id(1)), &source(1)).expect("written");
    assert_eq!(written, folder.source_bytes(&source(1)));
    assert_eq!(written, fs::metadata(file(&dir, 1, "source.json")).expect("a file").len());
}

#[test]
fn a_source_is_written_for_its_own_session_only() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    let error = folder.write_source(&folder.begin(&id(1)), &source(2)).expect_err("another source");
    assert!(matches!(error, DiskError::Unwritable(_)), "{error}");
    assert_eq!(names_below(&session_dir(&dir, 1)), [""; 0]);
}

#[test]
fn what_is_not_there_is_missing_and_can_be_removed() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    assert!(matches!(folder.read(&id(1), Part::Trajectory), Err(DiskError::Missing)));
    assert!(matches!(folder.touch(&id(1)), Err(DiskError::Missing)));
    folder.remove_part(&id(1), Part::Trajectory).expect("nothing to do");
    assert!(!folder.remove_session(&id(1)).expect("nothing to do"));
}

#[test]
fn a_removed_part_is_gone_and_the_others_stay() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    record(&folder, 1, &[Part::Trajectory, Part::cross(0), Part::cross(1)]);
    folder.remove_part(&id(1), Part::cross(0)).expect("removed");
    assert!(matches!(folder.read(&id(1), Part::cross(0)), Err(DiskError::Missing)));
    assert_eq!(bits(&folder.read(&id(1), Part::cross(1)).expect("read")), bits(&tensors()));
}

#[test]
fn a_removed_session_is_gone_and_the_others_stay() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    record(&folder, 1, &[Part::Trajectory]);
    record(&folder, 2, &[Part::Trajectory]);
    assert!(folder.remove_session(&id(1)).expect("removed"));
    assert_eq!(names_below(&dir.path().join(&MODEL[..16])), [".lock", id(2).as_str()]);
    assert!(matches!(folder.read(&id(1), Part::Trajectory), Err(DiskError::Missing)));
    assert_eq!(bits(&folder.read(&id(2), Part::Trajectory).expect("read")), bits(&tensors()));
}

#[test]
fn a_file_that_was_changed_is_refused_until_it_is_removed() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    record(&folder, 1, &[Part::Trajectory]);
    let path = file(&dir, 1, "trajectory.safetensors");
    let mut bytes = fs::read(&path).expect("bytes");
    *bytes.last_mut().expect("a byte") ^= 1;
    fs::write(&path, bytes).expect("written");
    let error = folder.read(&id(1), Part::Trajectory).expect_err("refused");
    assert_eq!(error.fault(), Some(FileFault::Damaged));
    assert_eq!(error.to_string(), "refused as damaged: its checksum is wrong");
    folder.remove_part(&id(1), Part::Trajectory).expect("removed");
    assert!(matches!(folder.read(&id(1), Part::Trajectory), Err(DiskError::Missing)));
}

#[test]
fn touching_a_session_makes_it_the_last_used() {
    let dir = temp_dir();
    {
        let (folder, _) = open(&dir);
        let old = SystemTime::now() - Duration::from_secs(3600);
        for seed in [1, 2] {
            record(&folder, seed, &[Part::Trajectory]);
            for name in names_below(&session_dir(&dir, seed)) {
                let age = Duration::from_secs(seed);
                let file = fs::File::options().write(true).open(file(&dir, seed, &name)).expect("a file");
                file.set_modified(old + age).expect("a time");
            }
        }
        folder.touch(&id(1)).expect("touched");
    }
    let (_folder, found) = open(&dir);
    let ids: Vec<_> = found.sessions.iter().map(|session| session.id.clone()).collect();
    assert_eq!(ids, [id(2), id(1)], "the longest unused first");
    let unused = |index: usize| found.sessions[index].last_used.elapsed().expect("the past");
    assert!(unused(0) > Duration::from_secs(3000) && unused(1) < Duration::from_secs(600));
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
        let writing = folder.begin(&id);
        let errors = [
            folder.read(&id, Part::Trajectory).map(drop),
            folder.write(&writing, Part::Trajectory, &[]).map(drop),
            folder.write_source(&writing, &source(1)).map(drop),
            folder.remove_part(&id, Part::Trajectory),
            folder.remove_session(&id).map(drop),
            folder.touch(&id),
        ];
        for error in errors {
            assert!(matches!(error, Err(DiskError::NotASessionId(said)) if said == text), "{text}");
        }
    }
    assert_eq!(fs::read(outside.join("trajectory.safetensors")).expect("still there"), b"kept");
    assert_eq!(names_below(&outside), ["trajectory.safetensors"]);
    assert_eq!(names_below(dir.path()), [&MODEL[..16], "outside"]);
    assert!(matches!(Folder::open(dir.path(), "../outside/../../.."), Err(DiskError::NotAFingerprint(_))));
}

#[test]
fn a_folder_that_is_open_cannot_be_opened_again_until_it_is_closed() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    record(&folder, 1, &[Part::Trajectory]);
    let error = Folder::open(dir.path(), MODEL).expect_err("in use");
    assert!(matches!(error, DiskError::InUse(_)), "{error}");
    assert!(error.to_string().contains(&MODEL[..16]) && error.to_string().contains("in use by another process"));
    assert!(folder.read(&id(1), Part::Trajectory).is_ok(), "the one that has it is not disturbed");
    drop(folder);
    assert_eq!(open(&dir).1.sessions.len(), 1);
}

#[test]
fn two_models_share_a_folder_and_never_see_each_other() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    record(&folder, 1, &[Part::Trajectory]);
    let (other, found) = Folder::open(dir.path(), OTHER_MODEL).expect("opened beside");
    assert!(found.sessions.is_empty() && found.refused.is_empty());
    let others_id = source(1).session_id(OTHER_MODEL);
    other.write_source(&other.begin(&others_id), &source(1)).expect("written");
    assert!(!other.remove_session(&id(1)).expect("not there"));
    drop((folder, other));

    let (_folder, found) = open(&dir);
    assert_eq!(found.sessions.iter().map(|session| &session.id).collect::<Vec<_>>(), [&id(1)]);
    assert!(found.refused.is_empty());
    let (_other, found) = Folder::open(dir.path(), OTHER_MODEL).expect("opened beside");
    assert_eq!(found.sessions.iter().map(|session| &session.id).collect::<Vec<_>>(), [&others_id]);
}
