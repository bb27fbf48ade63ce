//! Patterns, as whoever may write a .htaccess writes them: any text is read or refused in one line, and what is read can be looked
//! for in anything. The first line of the input is the pattern, the rest is what it is looked for in.

#![no_main]

use libfuzzer_sys::fuzz_target;

use lychgate::lang::regex::Regex;

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (pattern, text) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let Ok(pattern) = std::str::from_utf8(pattern) else {
        return;
    };
    for ignore_case in [false, true] {
        let regex = match Regex::new(pattern, ignore_case) {
            Ok(regex) => regex,
            Err(error) => {
                assert!(!error.0.is_empty() && !error.0.contains('\n'));
                continue;
            }
        };
        assert!(regex.names().iter().all(|(number, _)| *number < regex.group_count()));
        // One that was given up may be so in the other search, too, or not.
        let Ok(found) = regex.try_captures(text) else { continue };
        let Some(groups) = found else { continue };
        assert_eq!(groups.len(), regex.group_count());
        assert!(groups.iter().flatten().all(|group| text.get(group.clone()).is_some()));
        assert!(groups[0].is_some());
    }
});
