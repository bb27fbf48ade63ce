//! Sizes in four characters, as Apache shows them.

/// `bytes` right-aligned in four characters: `512 `, `1.5K`, ` 23M`; as `apr_strfsize` has it.
pub fn abbreviated(bytes: u64) -> String {
    if bytes < 973 {
        return format!("{bytes:3} ");
    }
    let (mut whole, mut rest) = (bytes, 0);
    for unit in ['K', 'M', 'G', 'T', 'P', 'E'] {
        rest = whole % 1024;
        whole /= 1024;
        if whole >= 973 {
            continue;
        }
        if whole < 9 || (whole == 9 && rest < 973) {
            let tenths = (rest * 5 + 256) / 512;
            let (whole, tenths) = if tenths >= 10 { (whole + 1, 0) } else { (whole, tenths) };
            return format!("{whole}.{tenths}{unit}");
        }
        let whole = if rest >= 512 { whole + 1 } else { whole };
        return format!("{whole:3}{unit}");
    }
    format!("{:3}E", whole + u64::from(rest >= 512))
}

#[cfg(test)]
mod tests {
    use super::abbreviated;

    #[test]
    fn sizes_have_four_characters() {
        for (bytes, want) in [
            (0, "  0 "),
            (972, "972 "),
            (973, "1.0K"),
            (1024, "1.0K"),
            (1536, "1.5K"),
            (10 * 1024, " 10K"),
            (1_048_576, "1.0M"),
            (5_000_000_000, "4.7G"),
            (u64::MAX, " 16E"),
        ] {
            assert_eq!(abbreviated(bytes), want, "{bytes:?}");
        }
    }
}
