//! What lychgate-apache(7) says of the configurations that Debian and Apache's authors ship: the differences that
//! `tests/beside/debian.requests` and `upstream.requests` mark as meant.

pub(super) const SHIPPED: &str = ".Sh SHIPPED CONFIGURATIONS
Debian's
.Pa /etc/apache2
and the snippets of its packages
(awstats, backuppc, cgit, dwww, gitweb, javascript-common, munin, nagios4,
php-fpm, roundcube, smokeping, xymon), and the
.Pa httpd.conf
and
.Pa extra/
of Apache's authors are read as they are, and what they serve is what Apache
serves, but for this.
.Bl -dash
.It
Variables that the environment does not have are taken from the lines
.Ql export NAME=value
of an
.Pa envvars
beside the configuration; the error log says so once.
.It
.Ic LoadModule
makes no difference to
.Ic <IfModule> .
A module that runs programs, and is not here, has its programs kept back:
with those of PHP,
.Ql fcgid_module
and
.Ql wsgi_module ,
files with their extensions are answered with 500 and never shown, and with
.Ql include_module
those that end in
.Pa .shtml ,
where
.Ic Options Includes
is on.
.It
What an
.Ic <IfModule>
holds for a module that
.Ic LoadModule
names, and that is not here, is passed over; a warning names the first line in
it that would close something.
.It
.Ic Dav On
is read: files are shown as without it, and nothing is written.
.It
TRACE is off unless
.Ic TraceEnable
switches it on.
.It
Sites for TLS
.Pq Pa default-ssl.conf , httpd-ssl.conf
are refused.
.El
";
