//! Negotiation by tables, and with anything at all.

use super::{Choice, Codings, Scripts, Terms, Transparency, Variant, Verdict, Wishes, choose, reason, told};
use crate::http::accept::preference;

/// `name content-type [language[,language]] [coding]`, with `-` for nothing.
fn variant(line: &str) -> Variant {
    let mut words = line.split(' ').map(|word| if word == "-" { "" } else { word });
    let mut word = || words.next().unwrap_or_default().as_bytes();
    let mut variant = Variant {
        name: word().to_vec(),
        ..Variant::default()
    };
    variant.set_content_type(preference(&mut word()));
    variant.languages = word()
        .split(|byte| *byte == b',')
        .filter(|tag| !tag.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    variant.encoding = word().to_vec();
    variant.length = std::str::from_utf8(word()).ok().and_then(|length| length.parse().ok());
    variant
}

fn variants(lines: &[&str]) -> Vec<Variant> {
    lines.iter().map(|line| variant(line)).collect()
}

fn name(variants: &[Variant], verdict: &Verdict) -> String {
    match verdict.choice {
        Choice::Variant(number) => String::from_utf8_lossy(&variants[number].name).into_owned(),
        Choice::List => "300".to_owned(),
        Choice::None => "406".to_owned(),
    }
}

/// Wishes by lines `accept: x`.
fn wishes(lines: &'static [&'static str]) -> Wishes<'static> {
    let mut wishes = Wishes::default();
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a field");
        let value = Some(value.as_bytes());
        match name {
            "accept" => wishes.accept = value,
            "charset" => wishes.accept_charset = value,
            "encoding" => wishes.accept_encoding = value,
            "language" => wishes.accept_language = value,
            "negotiate" => wishes.negotiate = value,
            "agent" => wishes.user_agent = value,
            "prefer" => wishes.prefer_language = value,
            other => panic!("{other}"),
        }
    }
    wishes
}

const PRIORITY: fn() -> Vec<Vec<u8>> = || vec![b"en".to_vec(), b"de".to_vec(), b"fr".to_vec()];

fn chosen(lines: &[&str], fields: &'static [&'static str]) -> String {
    let (variants, priority) = (variants(lines), PRIORITY());
    let terms = Terms {
        priority: &priority,
        prefer: true,
        fallback: false,
    };
    let verdict = choose(&variants, &wishes(fields), &terms, Transparency::Transparent);
    name(&variants, &verdict)
}

#[test]
fn languages_are_chosen_by_weight_then_by_priority() {
    let pages = ["de text/html de", "en text/html en", "fr text/html fr"];
    for (fields, want) in [
        (&[][..], "en"),
        (&["language: de"], "de"),
        (&["language: fr;q=0.5, de;q=0.4"], "fr"),
        (&["language: fr, de"], "de"),
        (&["language: *"], "en"),
        (&["language: de-AT"], "de"),
        (&["language: en-US, de;q=0.5"], "de"),
        (&["language: ja"], "406"),
        (&["language: "], "406"),
        (&["prefer: fr"], "fr"),
        (&["prefer: fr", "language: de"], "fr"),
        (&["prefer: ja", "language: de"], "de"),
    ] {
        assert_eq!(chosen(&pages, fields), want, "{fields:?}");
    }
    assert_eq!(chosen(&["de text/html de", "x text/html -"], &["language: fr"]), "x");
}

#[test]
fn media_types_count_more_than_languages() {
    let files = ["a.gif image/gif", "a.png image/png;qs=0.5", "a.txt text/plain"];
    for (fields, want) in [
        (&["accept: image/*, text/plain;q=0.1"][..], "a.gif"),
        (&["accept: image/png, */*"], "a.png"),
        (&["accept: image/png, image/gif;q=0.4"], "a.png"),
        (&["accept: text/*;q=0.3, */*;q=0.2"], "a.txt"),
        (&["accept: audio/basic"], "406"),
        (&["accept: image/gif;q=0, */*"], "a.txt"),
    ] {
        assert_eq!(chosen(&files, fields), want, "{fields:?}");
    }
}

#[test]
fn codings_and_charsets_count_last() {
    let files = ["a text/plain - -", "a.gz text/plain - x-gzip"];
    for (fields, want) in [
        (&[][..], "a"),
        (&["encoding: gzip"], "a.gz"),
        (&["encoding: gzip;q=0"], "a"),
        (&["encoding: identity;q=0"], "406"),
        (&["encoding: *;q=0"], "406"),
        (&["encoding: br"], "a"),
    ] {
        assert_eq!(chosen(&files, fields), want, "{fields:?}");
    }
    let files = [
        "latin text/plain;charset=iso-8859-1",
        "utf text/plain;charset=utf-8",
        "none text/plain",
    ];
    for (fields, want) in [
        (&[][..], "utf"),
        (&["charset: utf-8"], "utf"),
        (&["charset: iso-8859-1"], "latin"),
        (&["charset: utf-8;q=0.4, *;q=0.5"], "latin"),
        (&["charset: koi8-r"], "latin"),
    ] {
        assert_eq!(chosen(&files, fields), want, "{fields:?}");
    }
}

#[test]
fn a_client_may_ask_for_the_list() {
    let pages = ["de text/html de", "en text/html en"];
    for (fields, want) in [
        (&["negotiate: trans"][..], "300"),
        (&["negotiate: trans", "agent: Lynx/2.8"], "en"),
        (&["negotiate: vlist, *"], "en"),
        (&["negotiate: other"], "406"),
        (&["negotiate: 1.0", "language: de", "accept: text/html"], "de"),
        (&["negotiate: 1.0", "language: de", "accept: */*"], "300"),
        (&["negotiate: 1.0"], "300"),
    ] {
        assert_eq!(chosen(&pages, fields), want, "{fields:?}");
    }
}

#[test]
fn a_script_is_the_last_choice_unless_there_is_something_for_it() {
    let files = variants(&["a.cgi application/x-httpd-cgi", "a.html text/html"]);
    for (scripts, want) in [(Scripts::First, "a.cgi"), (Scripts::Last, "a.html")] {
        let wishes = Wishes {
            scripts,
            ..Wishes::default()
        };
        let verdict = choose(&files, &wishes, &Terms::default(), Transparency::Opaque);
        assert_eq!(name(&files, &verdict), want);
    }
}

#[test]
fn variables_leave_out_what_is_coded() {
    let files = variants(&[
        "a.gz text/plain - gzip",
        "b.gz text/html - gzip",
        "c text/plain - identity 9",
    ]);
    for (codings, want) in [(Codings::All, "c"), (Codings::OfHtml, "b.gz"), (Codings::None, "c")] {
        let wishes = Wishes {
            accept_encoding: Some(b"gzip, identity;q=0.5"),
            accept: (codings == Codings::OfHtml).then_some(b"text/html, */*;q=0.5"),
            codings,
            ..Wishes::default()
        };
        let verdict = choose(&files, &wishes, &Terms::default(), Transparency::Opaque);
        let want = if codings == Codings::All { "a.gz" } else { want };
        assert_eq!(name(&files, &verdict), want, "{codings:?}");
    }
}

#[test]
fn a_list_tells_what_is_known() {
    let files = variants(&["a;b/c.html text/html;qs=0.25;charset=utf-8 en,de gzip 12", "d x/y"]);
    let alternates = told::alternates(&files).expect("there are some");
    let want = "{\"a%3bb%2fc.html\" 0.25 {type text/html} {charset utf-8} {language en,de} {encoding gzip} {length 12}}, \
                {\"d\" 1 {type x/y}}";
    assert_eq!(String::from_utf8_lossy(&alternates), want);
    let vary = told::vary(&files, true);
    assert_eq!(
        vary,
        b"negotiate, accept, accept-language, accept-charset, accept-encoding"
    );
    assert_eq!(told::vary(&files[..1], false), b"");
}

#[test]
fn a_choice_has_a_reason() {
    let pages = ["de text/html de", "en text/html en"];
    for (fields, want) in [
        (&["language: de"][..], "de is chosen: no other is acceptable"),
        (&["language: de, en;q=0.5"], "de is chosen: its language is best"),
        (&[], "en is chosen: LanguagePriority has its language first"),
        (&["language: ja"], "none is acceptable: 406"),
    ] {
        let (variants, priority) = (variants(&pages), PRIORITY());
        let terms = Terms {
            priority: &priority,
            prefer: true,
            fallback: false,
        };
        let verdict = choose(&variants, &wishes(fields), &terms, Transparency::Opaque);
        assert_eq!(reason::of(&variants, &verdict), want);
    }
}

/// Numbers that are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn field(&mut self, words: &[&str]) -> Option<Vec<u8>> {
        if self.below(4) == 0 {
            return None;
        }
        let mut field = Vec::new();
        for _ in 0..self.below(5) {
            field.extend_from_slice(self.one_of(words).as_bytes());
            field.extend_from_slice(
                self.one_of(&["", ",", ";q=0", ";q=0.5,", ";q=1, ", ";level=1", "\"", " ", ";"])
                    .as_bytes(),
            );
        }
        for _ in 0..self.below(3) {
            field.push(u8::try_from(self.below(256)).unwrap_or(0));
        }
        Some(field)
    }
}

/// Whatever is asked and whatever there is, negotiation ends with an answer; the same question has the same answer; and a variant
/// that is as good as the one that was chosen, and comes later, is never preferred to it.
#[test]
fn negotiation_is_total() {
    const TYPES: &[&str] = &[
        "text/html",
        "text/html;level=3",
        "text/plain;qs=0.3",
        "image/png",
        "-",
        "*/*",
        "text/*",
        "a/b;qs=0",
    ];
    const LANGUAGES: &[&str] = &["en", "en-us", "de", "fr,de", "-", "*", "x"];
    const CODINGS: &[&str] = &["-", "gzip", "x-gzip", "identity", "br", "7bit"];
    let mut numbers = Numbers(7);
    for _ in 0..20_000 {
        let files: Vec<Variant> = (0..numbers.below(6))
            .map(|number| {
                let mut line = format!("v{number} {} ", numbers.one_of(TYPES));
                line += numbers.one_of(LANGUAGES);
                line.push(' ');
                line += numbers.one_of(CODINGS);
                line.push(' ');
                line += numbers.one_of(&["-", "1", "20"]);
                variant(&line)
            })
            .collect();
        let fields = [
            numbers.field(TYPES),
            numbers.field(&["utf-8", "iso-8859-1", "*"]),
            numbers.field(CODINGS),
            numbers.field(LANGUAGES),
            numbers
                .field(&["trans", "vlist", "1.0", "*", "guess-small"])
                .filter(|_| numbers.below(3) == 0),
        ];
        let [accept, charset, encoding, language, negotiate] = &fields;
        let wishes = Wishes {
            accept: accept.as_deref(),
            accept_charset: charset.as_deref(),
            accept_encoding: encoding.as_deref(),
            accept_language: language.as_deref(),
            negotiate: negotiate.as_deref(),
            user_agent: None,
            prefer_language: (numbers.below(5) == 0).then_some(b"de"),
            codings: [Codings::All, Codings::OfHtml, Codings::None][numbers.below(3)],
            scripts: [Scripts::First, Scripts::Last][numbers.below(2)],
        };
        let priority = PRIORITY();
        let terms = Terms {
            priority: &priority,
            prefer: numbers.below(2) == 0,
            fallback: numbers.below(2) == 0,
        };
        let transparency = [Transparency::Transparent, Transparency::Opaque][numbers.below(2)];
        let verdict = choose(&files, &wishes, &terms, transparency);
        assert_eq!(verdict.ratings.len(), files.len());
        let again = choose(&files, &wishes, &terms, transparency);
        assert_eq!(verdict.choice, again.choice);
        if let Choice::Variant(number) = verdict.choice {
            let mut doubled = files.clone();
            doubled.push(files[number].clone());
            let again = choose(&doubled, &wishes, &terms, transparency);
            assert_eq!(again.choice, verdict.choice, "{files:?} {wishes:?}");
        }
        told::alternates(&files);
        told::list(&files);
        reason::of(&files, &verdict);
    }
}
