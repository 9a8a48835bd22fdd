//! How long to wait before a request is made again: exponential back-off with jitter, or what the server's Retry-After
//! (RFC 9110, section 10.2.3) asks for.

use crate::random::Stream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The lengths of pauses.
#[derive(Clone, Copy)]
pub(super) struct Pauses {
    /// About the first pause; each later one is twice as long.
    pub first: Duration,
    /// No pause is longer, whatever the server asks for.
    pub longest: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Pauses { first: Duration::from_millis(500), longest: Duration::from_secs(90) }
    }
}

impl Pauses {
    /// The pause after `failed` tries (from 1): half to one and a half times the doubled length, so that the threads of a
    /// judge do not come back all at once; never less than the server asks for, up to the longest.
    pub fn after(self, failed: u32, asked: Option<Duration>, jitter: &mut Stream) -> Duration {
        let doubled = self.first.saturating_mul(1u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX));
        let pause = doubled.min(self.longest).mul_f64(0.5 + jitter.uniform());
        pause.max(asked.unwrap_or_default()).min(self.longest)
    }
}

/// The length of a Retry-After header: seconds, or a date.
pub(super) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let now = now.duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(seconds_of_date(header)?).saturating_sub(now))
}

/// Seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that servers may send today.
fn seconds_of_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split_once(", ")?.1.split(' ').collect();
    let [day, month, year, time, "GMT"] = words[..] else { return None };
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let parts: Vec<u64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hour, minute, second] = parts[..] else { return None };
    if !(1970..=9999).contains(&year) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days of whole years with their leap days, counted in years that begin in March, so that the leap day comes last.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let since_1970 = days.checked_sub(719_468)?;
    Some(((since_1970 * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let wait = |header: &str| retry_after(header, now).map(|pause| pause.as_secs());
        assert_eq!(wait(" 7 "), Some(7));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:07 GMT"), Some(0), "a date in the past");
        for header in
            ["", "-1", "soon", "Sun, 06 Nov 1994 08:49 GMT", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 99999999999999999999"]
        {
            assert_eq!(wait(header), None, "{header:?}");
        }
        for (date, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_208_000),
            ("Tue, 31 Dec 2999 23:59:59 GMT", 32_503_679_999),
        ] {
            assert_eq!(seconds_of_date(date), Some(seconds), "{date}");
        }
    }

    #[test]
    fn pauses_double_are_jittered_alike_every_time_and_are_bounded() {
        let pauses = Pauses { first: Duration::from_millis(100), longest: Duration::from_secs(2) };
        let draw = |failed, asked| pauses.after(failed, asked, &mut Stream::new(0, 0, "test", 0)).as_secs_f64();
        let factor = 0.5 + Stream::new(0, 0, "test", 0).uniform();
        for failed in 1..4 {
            let expected = 0.1 * 2f64.powi(failed as i32 - 1) * factor;
            assert!((draw(failed, None) - expected).abs() < 1e-6);
        }
        assert_eq!(draw(1, Some(Duration::from_secs(1))), 1.0);
        assert_eq!(draw(1, Some(Duration::from_secs(3600))), 2.0);
    }

    proptest! {
        #[test]
        fn no_header_and_no_count_makes_it_fail(header in any::<String>(), failed in any::<u32>(), asked in any::<u64>()) {
            let _ = retry_after(&header, SystemTime::now());
            let pauses = Pauses::default();
            let pause = pauses.after(failed, Some(Duration::from_secs(asked)), &mut Stream::new(0, 0, "test", 1));
            prop_assert!(pause <= pauses.longest);
        }
    }
}
