//! Retries of webhooks: a limited number, with exponentially growing waits and jitter.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The most attempts.
pub const ATTEMPTS: u32 = 5;
/// Each wait is this many times the one before: with 5 s at first, five attempts take some seven minutes.
const FACTOR: u32 = 4;
/// Waits vary by up to this fraction, so that deliveries that failed together are not retried together.
const JITTER: f64 = 0.25;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The receiver accepted it.
    Delivered,
    /// It must not be retried: why.
    Rejected(String),
    /// It may be retried: why.
    Failed(String),
}

/// Makes attempts until one is delivered or rejected, [`ATTEMPTS`] at most.
///
/// # Errors
/// Why the last attempt failed.
pub async fn with_retries<F: Future<Output = Attempt>>(
    first_wait: Duration,
    mut limit: watch::Receiver<Option<Instant>>,
    mut attempt: impl FnMut(u32) -> F,
) -> Result<(), String> {
    let mut wait = first_wait;
    for number in 1..=ATTEMPTS {
        let reason = match attempt(number).await {
            Attempt::Delivered => return Ok(()),
            Attempt::Rejected(reason) => return Err(reason),
            Attempt::Failed(reason) => reason,
        };
        if number == ATTEMPTS {
            return Err(reason);
        }
        tracing::debug!(number, reason, "a webhook was not accepted and is retried");
        let next = Instant::now() + wait.mul_f64(1.0 + rand::random_range(-JITTER..=JITTER));
        if !sleep_within(next, &mut limit).await {
            return Err(format!("{reason}; the service shuts down before the next attempt"));
        }
        wait *= FACTOR;
    }
    Ok(())
}

/// Sleeps until `at`; false as soon as the limit is earlier.
async fn sleep_within(at: Instant, limit: &mut watch::Receiver<Option<Instant>>) -> bool {
    tokio::select! {
        biased;
        // Without a sender there will be no limit.
        Ok(_) = limit.wait_for(|limit| limit.is_some_and(|limit| limit < at)) => false,
        () = sleep_until(at) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    async fn run(outcomes: impl Fn(u32) -> Attempt) -> (Result<(), String>, Vec<Duration>) {
        let (started, times) = (Instant::now(), RefCell::new(Vec::new()));
        let attempt = |number| {
            times.borrow_mut().push(started.elapsed());
            std::future::ready(outcomes(number))
        };
        let result = with_retries(Duration::from_secs(5), watch::channel(None).1, attempt).await;
        (result, times.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_and_differ_and_end_after_five_attempts() {
        let failed = |_| Attempt::Failed("status 500".to_owned());
        let (result, times) = run(failed).await;
        assert_eq!(result, Err("status 500".to_owned()));
        assert_eq!(times.len(), 5);
        let waits: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        for (wait, wanted) in waits.iter().zip([5.0, 20.0, 80.0, 320.0]) {
            assert!((0.75 * wanted..=1.25 * wanted + 0.01).contains(wait), "{waits:?}");
        }
        let (_, others) = run(failed).await;
        assert_ne!(times, others, "two deliveries do not come back together");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_delivery_ends_it() {
        let third = |number| if number == 3 { Attempt::Delivered } else { Attempt::Failed(String::new()) };
        let (result, times) = run(third).await;
        assert_eq!((result, times.len()), (Ok(()), 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_after_the_limit_is_given_up_as_soon_as_the_limit_is_set() {
        let started = Instant::now();
        let (limit, limited) = watch::channel(None);
        let attempts = RefCell::new(Vec::new());
        let delivery = with_retries(Duration::from_secs(5), limited, |_| {
            attempts.borrow_mut().push(started.elapsed());
            std::future::ready(Attempt::Failed("status 500".to_owned()))
        });
        // The second attempt begins after 3.75 to 6.25 s, the third 15 to 25 s later.
        let shutdown = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            limit.send_replace(Some(started + Duration::from_secs(8)));
        };
        let (result, ()) = tokio::join!(delivery, shutdown);
        assert_eq!(result.unwrap_err(), "status 500; the service shuts down before the next attempt");
        let attempts = attempts.into_inner();
        assert_eq!(attempts.len(), 2, "the attempt within the limit is made");
        assert_eq!(started.elapsed(), attempts[1], "nothing is waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_is_gone_is_not_retried() {
        let (result, times) = run(|_| Attempt::Rejected("status 410".to_owned())).await;
        assert_eq!((result, times), (Err("status 410".to_owned()), vec![Duration::ZERO]));
    }
}
