//! Sizes in four characters, as Apache's listings have them.

/// `bytes` right-aligned in four characters: ` 512`, `1.5K`, ` 23M`; `  - ` for what has no size.
pub fn padded(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else {
        return "  - ".to_owned();
    };
    if bytes < 973 {
        return format!("{bytes:3} ");
    }
    let (mut whole, mut rest) = (bytes, 0);
    for unit in ["K", "M", "G", "T", "P", "E"] {
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
        return format!("{:3}{unit}", if rest >= 512 { whole + 1 } else { whole });
    }
    format!("{:3}E", whole + u64::from(rest >= 512))
}

#[cfg(test)]
mod tests {
    use super::padded;

    #[test]
    fn sizes_have_four_characters() {
        for (bytes, want) in [
            (Some(0), "  0 "),
            (Some(972), "972 "),
            (Some(973), "1.0K"),
            (Some(1024), "1.0K"),
            (Some(1536), "1.5K"),
            (Some(10 * 1024), " 10K"),
            (Some(1_048_576), "1.0M"),
            (Some(5_000_000_000), "4.7G"),
            (None, "  - "),
        ] {
            assert_eq!(padded(bytes), want, "{bytes:?}");
        }
    }
}
