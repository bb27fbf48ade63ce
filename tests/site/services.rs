//! The examples of services, ours and others, in `conf/extra/`.

use std::fs;

use super::{Site, copied, expect};
use crate::support::{applications, server};

/// The example as it stands, with programs of ours where its own are.
pub(super) fn extra_services_serve() -> Result<(), String> {
    let root = copied("extra-services", "Include conf/extra/services.conf\n")?;
    let conf = root.join("conf/extra/services.conf");
    let text = fs::read_to_string(&conf).map_err(|e| format!("{}: {e}", conf.display()))?;
    let place = root.join("srv").display().to_string();
    let text = text.replace("wiki.fcgi --quiet", "wiki.fcgi --service");
    let text = text.replace("report.fcgi", "report.fcgi --service-one");
    server::write(&conf, text.replace("/srv", &place).as_bytes())?;
    fs::create_dir_all(root.join("srv/wiki/data")).map_err(|e| e.to_string())?;
    fs::create_dir_all(root.join("srv/report")).map_err(|e| e.to_string())?;
    for name in ["srv/wiki/wiki.fcgi", "srv/report/report.fcgi"] {
        let program = server::bench().directory.join("apps/testapp");
        fs::copy(program, root.join(name)).map_err(|e| format!("{name}: {e}"))?;
    }
    server::hand_over(&root, false)?;
    let site = Site::start(root)?;
    expect("the wiki", &site.fetch("/wiki/page?self")?, 200, "umask=27")?;
    expect(
        "the report",
        &site.fetch("/report/page?env")?,
        200,
        "SCRIPT_NAME=/report/page",
    )?;
    site.end_saying(&[])
}

/// The example as it stands, but for the name of the socket.
pub(super) fn extra_scgi_serves() -> Result<(), String> {
    let root = copied("extra-scgi", "Include conf/extra/scgi.conf\n")?;
    let conf = root.join("conf/extra/scgi.conf");
    let text = fs::read_to_string(&conf).map_err(|e| format!("{}: {e}", conf.display()))?;
    let socket = root.join("app.sock").display().to_string();
    server::write(&conf, text.replace("/run/app.sock", &socket).as_bytes())?;
    server::hand_over(&root, false)?;
    let _application = applications::start("testapp --scgi app.sock", &root, false, 0)?;
    let site = Site::start(root)?;
    expect("its page", &site.fetch("/app/page?env")?, 200, "SCRIPT_NAME=/app/page")?;
    site.end_saying(&[])
}
