//! What lychgate-apache(7) says of sections and `.htaccess` files: the differences that `tests/beside` marks as meant.

pub(super) const DIFFERENCES: &str = ".Sh SECTIONS AND .HTACCESS FILES
They are merged as in Apache, and what a
.Pa .htaccess
file may hold is decided by the same classes, but for these differences.
.Bl -dash
.It
A condition such as
.Ic <IfModule>
needs no class; what stands in it does.
.It
What only the server's own files may hold because it reads others, or makes
variables or macros
.Ic ( Include , Define , ServerRoot , Macro , Use ) ,
is an error whatever
.Ql Nonfatal=
says; so is a directive that lychgate knows and refuses, for it may protect
something.
.It
Settings of mod_php
.Ic ( php_value , php_flag )
are passed over where the class Options is allowed, with a warning in the log;
.Ql php_flag engine off
is an error:
.Ql SetHandler none
is what keeps scripts from being run.
.It
Variables that tell a loader or a shell what to do
.Ev ( LD_* , BASH_FUNC_* , IFS , ENV
and the like), and
.Ev PATH
and
.Ev HTTP_PROXY ,
reach a script only where the server's own files set them to this value.
.It
.Ic RLimitCPU
and its kin only lower what the server's own files say.
.It
.Ic UnsetEnv
in
.Ic <Directory>
holds below it also where a
.Pa .htaccess
file lies; in Apache a variable of the server as a whole comes back there.
.It
A name of
.Ql .ht*
is closed whether or not there is such a file, and without a line in the
configuration.
.It
A file of more than 1 MiB, and more than 200 sections in one another, are
errors.
.It
.Ql ${NAME}
in
.Pa .htaccess
is what
.Ic Define
says, and never a variable of the server's environment.
.It
An index file that is there and refused is refused; Apache tries the next of
.Ic DirectoryIndex .
.It
A
.Ic <Files>
section in another is an error; Apache takes it and never looks at it.
.It
A handler that is not here is answered with 500, not with the file.
.It
Named groups of a section's pattern are variables also behind a redirect by
rules of a directory.
.It
With
.Ic MergeSlashes
off, PATH_INFO has all slashes, and
.Ic Redirect
is compared as it is written.
.It
A handler that is computed and comes to nothing leaves the one that the file's
name gives; in Apache the file is shown.
.El
.Sh METHODS
Files answer GET, HEAD, POST and OPTIONS as in Apache, but for these
differences.
.Bl -dash
.It
Range is about GET.
416 says how long the file is.
.It
405 for TRACE, and
.Ql OPTIONS * ,
name the methods there are.
TRACE is off by default, and sends no body back.
.It
The script of an error document has no body to read.
.Ic ErrorDocument
stands for errors, not for redirects.
.El
";
