//! What lychgate-apache(7) says of scripts: what they are told and what they may answer (RFC 3875) where Apache does otherwise.

pub(super) const DIFFERENCES: &str = ".Sh SCRIPTS
A script is told what Apache would tell it, variable by variable, but for
these differences.
.Bl -dash
.It
Several Cookie fields are joined with a semicolon; with a comma they could
not be read.
.It
With
.Ic RemoteIPProxyProtocol ,
.Ev REMOTE_PORT
is the client's port, as
.Ev REMOTE_ADDR
is its address; in Apache it stays the balancer's. An address in a field of
.Ic RemoteIPHeader
has all its parts: 203.0.113 is none.
.It
A chunked body is kept until it is complete, so
.Ev CONTENT_LENGTH
is set;
.Ev HTTP_TRANSFER_ENCODING
is not, for the coding is off.
.It
Behind a local redirect, and in an error page, there is no body any more,
and neither
.Ev CONTENT_TYPE
nor
.Ev CONTENT_LENGTH .
.It
What the server computes cannot be set by the configuration; the log says
so.
.It
The words of an indexed query are arguments unless one of them begins with a
dash.
.It
It has a process group of its own, no terminal, signals as they are by
default, and no descriptors but 0, 1 and 2.
.It
When its client leaves, or it is silent for too long, its process group is
ended:
.Ic CGIClientGone ,
.Ic CGIScriptTimeout .
.El
.Pp
Of its reply, these are read in another way.
.Bl -dash
.It
A Status that is not between 200 and 599 is a fault.
.It
A first line like
.Ql HTTP/1.1 404 Not Found
is a Status.
.It
Empty lines before the header, and lines of it that are no field, are passed
over as long as one is good.
A folded line belongs to the field before it; a field with a control
character is dropped.
.It
Content-Length is kept where it is right.
Connection, Keep-Alive, Transfer-Encoding, Trailer and Upgrade are the
server's own affair.
.It
When the script has ended, its reply ends, although a process that it left
behind may hold its output:
.Ic CGIQuietTime .
.El
";
