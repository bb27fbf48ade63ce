//! Formats and what they write, as Apache 2.4.71 was seen to write it.

use std::time::{Duration, SystemTime};

use super::{ErrorFormat, Facts, Question, RequestFacts, Scope, Use};
use crate::base::testing::every_cut;
use crate::lang::log_level::Level;

fn request() -> RequestFacts {
    let field = |name: &str, value: &[u8]| (Question::Field(name.into()), value.to_vec());
    RequestFacts {
        peer: "192.0.2.9:99".parse().expect("valid"),
        local: "192.0.2.1:80".parse().expect("valid"),
        keepalives: 3,
        id: b"request".to_vec(),
        connection_id: b"connection".to_vec(),
        name: b"asked.example".to_vec(),
        answers: vec![
            field("Referer", b"http://r/\"\xc3\xa9"),
            field("Host", b"h"),
            (Question::Env("ABOUT".into()), b"site".to_vec()),
            (Question::Note("n".into()), b"note\n".to_vec()),
        ],
    }
}

fn facts(request: Option<&RequestFacts>) -> Facts<'_> {
    Facts {
        now: SystemTime::UNIX_EPOCH + Duration::new(1_795_170_787, 7_618_999),
        said: Some((Level::Error, "core")),
        pid: 12,
        tid: 34,
        os_error: None,
        client: request.and_then(|_| "127.0.0.1:5".parse().ok()),
        request,
        scope: Scope::Request,
        server_name: b"main.example",
    }
}

fn line(format: &str, used: Use, facts: &Facts<'_>) -> String {
    let format = ErrorFormat::parse(format, used).expect("a format");
    let mut out = b"before|".to_vec();
    format.append(facts, |out| out.extend_from_slice(b"MSG"), &mut out);
    let text = String::from_utf8(out).expect("escaped");
    text.strip_prefix("before|")
        .expect("nothing before it is touched")
        .to_owned()
}

/// What Apache 2.4.71 writes of the same.
#[test]
fn fields_without_anything_to_say_are_left_out() {
    let request = request();
    for (format, want) in [
        (
            "A%a B%{c}a C%A K%k R%L C%{c}L LC%{C}L %v %V M=%M",
            "A127.0.0.1:5 B192.0.2.9:99 C192.0.2.1:80 K3 Rrequest Cconnection main.example asked.example M=MSG",
        ),
        (
            "%M %{Referer}i tail %{X-No}i tail2",
            r#"MSG http://r/"\xc3\xa9 tail tail2"#,
        ),
        ("%M% %{X-No}i%{Referer}i end", "MSG end"),
        ("a%{X-No}i b %M c", " b MSG c"),
        ("%{X-No}i%M", "MSG"),
        ("x %{X-No}i%M y", "xMSG y"),
        ("%-{X-No}i|%-{Host}i %M", "-|h MSG"),
        ("%3{Host}i three %4{Host}i four %M", "h three four MSG"),
        ("[%l%4l] %{Host}i %M", " h MSG"),
        ("%{ABOUT}e %{NOT}e %-{NOT}e %{n}n %M", r"site - note\n MSG"),
        ("two  spaces %{X-No}i  gone  %M  end", "two  spaces  gone  MSG  end"),
        (r"tab\t[esc\ %a\ x] %%%M%%", "tab\t[esc 127.0.0.1:5 x] %MSG%"),
        ("%M lone % %{X-No}i", "MSG lone "),
        ("pre%{X-No}i% post %M", "post MSG"),
        (r"%m:%-m %M \ q", "core:core MSG  q"),
        ("[%l] [pid %P:tid %T] %F: %E: %M", "[error] [pid 12:tid 34] MSG"),
        ("%-F %-E %M", "- - MSG"),
        (r"a\nb %M", "a\nb MSG"),
    ] {
        assert_eq!(line(format, Use::Line, &facts(Some(&request))), want, "{format}");
    }
}

#[test]
fn what_is_about_no_request_has_no_client() {
    let mut facts = facts(None);
    facts.os_error = Some((13, "Permission denied"));
    let format = r"[%-m:%l] %7F: %E: [client\ %a] %M% ,\ referer\ %{Referer}i %V";
    let want = "[core:error] (13)Permission denied: MSG main.example";
    assert_eq!(line(format, Use::Line, &facts), want);
}

#[test]
fn lines_before_the_first_one_know_no_level() {
    let request = request();
    let mut once = facts(Some(&request));
    once.said = None;
    for (scope, format, want) in [
        (
            Scope::Request,
            "R:%L k%k on C:%{c}L lev=%l m=%m a=%a",
            "R:request k3 on C:connection a=127.0.0.1:5",
        ),
        (Scope::Request, "%+{Host}i x", "h x"),
        (Scope::Request, "UA %+{User-Agent}i x", ""),
        (Scope::Request, "%9{Host}i", "h"),
        (
            Scope::Connection,
            r"C:%{c}L C:%{C}L remote\ %a local\ %A %L %{Host}i",
            "C:connection C:connection remote 127.0.0.1:5 local 192.0.2.1:80",
        ),
    ] {
        once.scope = scope;
        assert_eq!(line(format, Use::Once, &once), want, "{format}");
    }
}

#[test]
fn time_has_many_forms() {
    let facts = facts(None);
    let shown = |form: &str| line(&format!("%{form}t %M"), Use::Line, &facts).replace(" MSG", "");
    let zone = shown("{%z}");
    let (usual, compact) = (shown("{%a %b %d %H:%M:%S}"), shown("{%Y-%m-%d %H:%M:%S}"));
    let year = shown("{%Y}");
    for (form, want) in [
        ("", format!("{usual} {year}")),
        ("{u}", format!("{usual}.007618 {year}")),
        ("{m}", format!("{usual}.007 {year}")),
        ("{z}", format!("{usual} {year} {zone}")),
        ("{c}", compact.clone()),
        ("{cm}", format!("{compact}.007")),
        ("{uc}", format!("{compact}.007618")),
        ("{cuz}", format!("{compact}.007618 {zone}")),
    ] {
        assert_eq!(shown(form), want, "{form}");
    }
}

#[test]
fn what_apache_refuses_is_refused() {
    for (format, used, want) in [
        (
            "%t",
            Use::Line,
            "the message is missing; write `%M` where it is to stand",
        ),
        (
            "%M",
            Use::Once,
            "`%M` is for the lines themselves; those before them have no message",
        ),
        (
            "%+a %M",
            Use::Line,
            "`+` is for lines before the first one: no line may be left out for what it lacks; write `-`, or nothing",
        ),
        (
            "%M %x",
            Use::Line,
            "`%x` is not an item; the items are %a %A %e %E %F %i %k %l %L %m %M %n %P %t %T %v %V",
        ),
        ("%M %", Use::Line, "`%` ends before the letter of the item"),
        ("%M %{x", Use::Line, "`%{x` has `{` without `}`"),
        ("%M %i", Use::Line, "`%i` needs a name; write for example `%{name}i`"),
    ] {
        assert_eq!(ErrorFormat::parse(format, used), Err(want.to_owned()), "{format}");
    }
}

#[test]
fn any_piece_of_a_format_is_read_or_refused() {
    let whole = r"[%{u}t] [%-m:%l] %7F: %E: [client\ %a] %M% ,\ referer\ %{Referer}i \";
    every_cut(whole.as_bytes(), |head, tail| {
        for piece in [head, tail] {
            let text = std::str::from_utf8(piece).expect("ASCII");
            for used in [Use::Line, Use::Once] {
                if let Ok(format) = ErrorFormat::parse(text, used) {
                    let mut out = Vec::new();
                    format.append(&facts(None), |out| out.push(b'M'), &mut out);
                }
            }
        }
    });
}
