//! A folder that is opened again: what was whole is listed, what was not is cleaned up or refused.

use std::collections::BTreeMap;
use std::fs;

use crate::recordings::disk::Part;
use crate::recordings::disk::tests::{
    MODEL, bits, file, id, names_below, open, record, session_dir, source, temp_dir, tensors,
};
use crate::recordings::store::{Content, FileFault, RecordingStore};
use crate::recordings::{SessionId, Source};

const PARTS: [Part; 3] = [Part::Trajectory, Part::cross(0), Part::self_attention(0)];

#[test]
fn sessions_are_found_again_with_the_same_sources_parts_and_bytes() {
    let dir = temp_dir();
    {
        let (folder, _) = open(&dir);
        record(&folder, 1, &PARTS);
        record(&folder, 2, &[]);
    }
    let (folder, found) = open(&dir);
    assert!(found.refused.is_empty());
    let found: BTreeMap<_, _> = found.sessions.into_iter().map(|session| (session.id.clone(), session)).collect();
    assert_eq!(found.len(), 2);
    for (seed, parts) in [(1, &PARTS[..]), (2, &[])] {
        let session = &found[&id(seed)];
        assert_eq!(session.source, source(seed));
        assert_eq!(session.source_bytes, fs::metadata(file(&dir, seed, "source.json")).expect("a file").len());
        let bytes = |part: &Part| fs::metadata(file(&dir, seed, &part.to_string())).expect("a file").len();
        assert_eq!(session.parts, parts.iter().map(|part| (*part, bytes(part))).collect());
    }
    assert_eq!(bits(&folder.get(&id(1), Part::self_attention(0)).expect("read")), bits(&tensors()));
}

#[test]
fn a_found_session_can_be_written_to_and_deleted() {
    let dir = temp_dir();
    record(&open(&dir).0, 1, &PARTS[..1]);
    let (folder, _) = open(&dir);
    folder.put(&id(1), Content::Part(Part::cross(0), &tensors())).expect("written");
    folder.delete(&id(1)).expect("deleted");
    assert_eq!(names_below(&dir.path().join(&MODEL[..16])), [".lock"]);
}

#[test]
fn what_a_killed_process_left_unfinished_is_deleted() {
    let dir = temp_dir();
    record(&open(&dir).0, 1, &PARTS);
    let model = dir.path().join(&MODEL[..16]);
    fs::write(file(&dir, 1, ".writing-Ab3xYz"), "half a tensor").expect("a file");
    fs::create_dir(model.join(".removed-3")).expect("a folder");
    fs::write(model.join(".removed-3/trajectory.safetensors"), "half deleted").expect("a file");
    fs::create_dir(model.join(id(2).as_str())).expect("a folder without a source yet");
    fs::copy(file(&dir, 1, "trajectory.safetensors"), file(&dir, 2, "trajectory.safetensors")).expect("a copy");

    let (_folder, found) = open(&dir);
    assert!(found.refused.is_empty(), "nothing of that is a fault");
    assert_eq!(found.sessions.len(), 1);
    assert_eq!(found.sessions[0].parts.len(), PARTS.len());
    assert_eq!(names_below(&model), [".lock", id(1).as_str()]);
    assert_eq!(
        names_below(&session_dir(&dir, 1)),
        ["cross-000.safetensors", "self-000.safetensors", "source.json", "trajectory.safetensors"]
    );
}

#[test]
fn files_of_others_are_left_alone_and_not_counted() {
    let dir = temp_dir();
    record(&open(&dir).0, 1, &PARTS);
    let model = dir.path().join(&MODEL[..16]);
    let unfit = "ses_0123456789ABCDEF0123456789ABCDEF";
    fs::write(model.join("readme.txt"), "hello").expect("a file");
    fs::create_dir(model.join(unfit)).expect("a folder");
    fs::write(file(&dir, 1, "notes.txt"), "mine").expect("a file");
    fs::create_dir(file(&dir, 1, "cross-001.safetensors")).expect("a folder with a part's name");
    fs::create_dir(session_dir(&dir, 2)).expect("a folder");
    fs::write(file(&dir, 2, "notes.txt"), "mine as well").expect("a file");

    let (_folder, found) = open(&dir);
    assert!(found.refused.is_empty());
    assert_eq!(found.sessions.len(), 1);
    assert_eq!(found.sessions[0].parts.keys().copied().collect::<Vec<_>>(), PARTS);
    assert!(model.join("readme.txt").exists() && model.join(unfit).exists());
    assert!(file(&dir, 1, "notes.txt").exists() && file(&dir, 1, "cross-001.safetensors").exists());
    assert_eq!(names_below(&session_dir(&dir, 2)), ["notes.txt"]);
}

#[test]
fn parts_with_a_wrong_header_or_length_are_refused_and_deleted() {
    type Change = fn(&mut Vec<u8>);
    let faults: [(&str, FileFault, Change); 4] = [
        ("cut", FileFault::Truncated, |bytes| bytes.truncate(bytes.len() - 1)),
        ("longer", FileFault::Damaged, |bytes| bytes.push(0)),
        ("not JSON", FileFault::Damaged, |bytes| bytes[8] = b'['),
        ("empty", FileFault::Truncated, Vec::clear),
    ];
    for (what, fault, change) in faults {
        let dir = temp_dir();
        record(&open(&dir).0, 1, &PARTS);
        let path = file(&dir, 1, "cross-000.safetensors");
        let mut bytes = fs::read(&path).expect("bytes");
        change(&mut bytes);
        fs::write(&path, bytes).expect("written");

        let (_folder, found) = open(&dir);
        assert_eq!(found.refused, [fault], "{what}");
        assert_eq!(found.sessions[0].parts.keys().copied().collect::<Vec<_>>(), [PARTS[0], PARTS[2]], "{what}");
        assert!(!path.exists(), "{what}");
    }
}

#[test]
fn parts_under_the_name_of_another_are_refused_and_deleted() {
    let dir = temp_dir();
    {
        let (folder, _) = open(&dir);
        record(&folder, 1, &PARTS);
        record(&folder, 2, &PARTS);
    }
    fs::rename(file(&dir, 1, "cross-000.safetensors"), file(&dir, 1, "cross-001.safetensors")).expect("another part");
    fs::rename(file(&dir, 1, "self-000.safetensors"), file(&dir, 2, "self-000.safetensors")).expect("another session");
    let (_folder, found) = open(&dir);
    assert_eq!(found.refused, [FileFault::Foreign; 2]);
    assert_eq!(found.sessions.iter().map(|session| session.parts.len()).sum::<usize>(), 3);
    assert!(!file(&dir, 1, "cross-001.safetensors").exists() && !file(&dir, 2, "self-000.safetensors").exists());
}

#[test]
fn damaged_tensors_are_left_to_be_found_when_they_are_read() {
    let dir = temp_dir();
    record(&open(&dir).0, 1, &PARTS);
    let path = file(&dir, 1, "trajectory.safetensors");
    let mut bytes = fs::read(&path).expect("bytes");
    *bytes.last_mut().expect("a byte") ^= 0x80;
    fs::write(&path, bytes).expect("written");
    let (folder, found) = open(&dir);
    assert_eq!((found.sessions[0].parts.len(), found.refused.len()), (PARTS.len(), 0));
    let error = folder.get(&id(1), Part::Trajectory).expect_err("refused");
    assert_eq!(error.fault(), Some(FileFault::Damaged));
}

#[test]
fn without_its_trajectory_a_session_is_found_with_its_source_alone() {
    for damaged in [false, true] {
        let dir = temp_dir();
        record(&open(&dir).0, 1, &PARTS);
        let path = file(&dir, 1, "trajectory.safetensors");
        if damaged { fs::write(&path, "") } else { fs::remove_file(&path) }.expect("changed");
        let (_folder, found) = open(&dir);
        assert_eq!(found.refused.len(), usize::from(damaged));
        assert_eq!((&found.sessions[0].source, found.sessions[0].parts.len()), (&source(1), 0));
        assert_eq!(names_below(&session_dir(&dir, 1)), ["source.json"]);
    }
}

#[test]
fn a_session_whose_source_is_wrong_is_reported_and_deleted() {
    type Change = fn(String) -> String;
    let faults: [(FileFault, Change); 5] = [
        (FileFault::Truncated, |text| text[..text.len() / 2].to_owned()),
        (FileFault::Damaged, |text| text.replace('{', "[")),
        (FileFault::Foreign, |text| text.replace(r#""version":3"#, r#""version":9"#)),
        (FileFault::Foreign, |text| text.replace(MODEL, crate::recordings::disk::tests::OTHER_MODEL)),
        (FileFault::Foreign, |text| text.replace("blurry", "sharp")),
    ];
    for (fault, change) in faults {
        let dir = temp_dir();
        record(&open(&dir).0, 1, &PARTS);
        record(&open(&dir).0, 2, &PARTS);
        let path = file(&dir, 1, "source.json");
        fs::write(&path, change(fs::read_to_string(&path).expect("text"))).expect("written");
        let (_folder, found) = open(&dir);
        assert_eq!(found.refused, [fault]);
        assert_eq!(found.sessions.iter().map(|session| &session.id).collect::<Vec<_>>(), [&id(2)]);
        assert!(!session_dir(&dir, 1).exists());
    }
}

#[test]
fn a_session_under_the_name_of_another_is_foreign() {
    let dir = temp_dir();
    record(&open(&dir).0, 1, &PARTS);
    let stranger: SessionId = Source { steps: 1, ..source(1) }.session_id(MODEL);
    fs::rename(session_dir(&dir, 1), session_dir(&dir, 1).with_file_name(stranger.as_str())).expect("renamed");
    let (_folder, found) = open(&dir);
    assert_eq!((found.sessions.len(), found.refused), (0, vec![FileFault::Foreign]));
}
