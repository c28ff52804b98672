//! A session that is removed while its files are written: nothing that was begun before appears afterwards.

use std::sync::Barrier;
use std::thread;

use crate::recordings::disk::tests::{
    MODEL, bits, id, names_below, open, record, session_dir, source, temp_dir, tensors,
};
use crate::recordings::disk::{DiskError, Part};

#[test]
fn a_file_that_is_complete_when_its_session_is_removed_does_not_appear() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    let writing = folder.begin(&id(1));
    let staged = folder.stage_part(&writing, Part::Trajectory, &tensors()).expect("written");
    assert!(folder.remove_session(&id(1)).expect("removed"));
    assert!(matches!(folder.publish(&writing, staged), Err(DiskError::Forgotten)));
    assert_eq!(names_below(&dir.path().join(&MODEL[..16])), [".lock"]);
}

#[test]
fn a_token_is_worthless_once_its_session_is_removed_and_a_new_one_is_not() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    let old = folder.begin(&id(1));
    let staged = folder.stage_part(&old, Part::cross(0), &tensors()).expect("written");
    folder.remove_session(&id(1)).expect("removed");
    let new = folder.begin(&id(1));
    folder.write_source(&new, &source(1)).expect("written");
    assert!(matches!(folder.publish(&old, staged), Err(DiskError::Forgotten)));
    assert!(matches!(folder.write(&old, Part::cross(0), &tensors()), Err(DiskError::Forgotten)));
    assert!(matches!(folder.write_source(&old, &source(1)), Err(DiskError::Forgotten)));
    folder.write(&new, Part::Trajectory, &tensors()).expect("written");
    assert_eq!(names_below(&session_dir(&dir, 1)), ["source.json", "trajectory.safetensors"]);
}

#[test]
fn tokens_of_a_session_are_worthless_even_where_nothing_was_written_yet() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    let (writing, again) = (folder.begin(&id(1)), folder.begin(&id(1)));
    assert!(!folder.remove_session(&id(1)).expect("nothing there"));
    for writing in [writing, again] {
        assert!(matches!(folder.write(&writing, Part::Trajectory, &tensors()), Err(DiskError::Forgotten)));
    }
    assert!(!session_dir(&dir, 1).exists());
}

#[test]
fn tokens_of_one_session_serve_several_writers_and_other_sessions_are_not_concerned() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    let (first, second, other) = (folder.begin(&id(1)), folder.begin(&id(1)), folder.begin(&id(2)));
    folder.write(&first, Part::cross(0), &tensors()).expect("written");
    folder.write(&second, Part::cross(1), &tensors()).expect("written");
    folder.remove_session(&id(1)).expect("removed");
    folder.write(&other, Part::cross(0), &tensors()).expect("written");
    assert_eq!(bits(&folder.read(&id(2), Part::cross(0)).expect("read")), bits(&tensors()));
}

#[test]
fn a_write_that_fails_leaves_no_file() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    record(&folder, 1, &[]);
    // A folder stands where the file is to be.
    std::fs::create_dir(session_dir(&dir, 1).join("trajectory.safetensors")).expect("a folder");
    let error = folder.write(&folder.begin(&id(1)), Part::Trajectory, &tensors()).expect_err("not written");
    assert!(matches!(error, DiskError::Io { .. }), "{error}");
    assert_eq!(names_below(&session_dir(&dir, 1)), ["source.json", "trajectory.safetensors"]);
}

#[test]
fn removing_while_others_write_and_read_never_leaves_or_shows_anything_wrong() {
    const ROUNDS: usize = 200;
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    let wanted = bits(&tensors());
    let round = Barrier::new(4);
    let (folder, wanted, round) = (&folder, &wanted, &round);
    // Threads that panic would leave the others waiting, so what went wrong is collected.
    let wrong: Vec<String> = thread::scope(|scope| {
        let writers = [0, 1].map(|number| {
            scope.spawn(move || {
                let mut wrong = Vec::new();
                for _ in 0..ROUNDS {
                    let writing = folder.begin(&id(1));
                    round.wait();
                    for part in [Part::Trajectory, Part::cross(number)] {
                        match folder.write(&writing, part, &tensors()) {
                            Ok(_) | Err(DiskError::Forgotten) => {}
                            Err(error) => wrong.push(format!("written: {error}")),
                        }
                    }
                    round.wait();
                }
                wrong
            })
        });
        let reader = scope.spawn(move || {
            let mut wrong = Vec::new();
            for _ in 0..ROUNDS {
                round.wait();
                match folder.read(&id(1), Part::Trajectory) {
                    Ok(read) if bits(&read) == *wanted => {}
                    Err(DiskError::Missing) => {}
                    other => wrong.push(format!("read: {other:?}")),
                }
                round.wait();
            }
            wrong
        });
        let mut wrong = Vec::new();
        for _ in 0..ROUNDS {
            round.wait();
            wrong.extend(folder.remove_session(&id(1)).err().map(|error| format!("removed: {error}")));
            round.wait();
            // All that was begun in this round was begun before the removal.
            wrong.extend(session_dir(&dir, 1).exists().then(|| "a file came back".to_owned()));
        }
        let others = writers.into_iter().chain([reader]);
        wrong.extend(others.flat_map(|thread| thread.join().expect("no thread panics")));
        wrong
    });
    assert_eq!(wrong, [""; 0]);
    assert_eq!(names_below(&dir.path().join(&MODEL[..16])), [".lock"]);
}
