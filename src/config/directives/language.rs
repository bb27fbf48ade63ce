//! What the language itself has: files, variables, conditions, macros, and the sections that hold directives. The reader
//! and the resolver act upon them; here is their page of the manual.

use crate::config::table::{
    ANYWHERE, Contexts, DIRECTORY, Directive, HTACCESS, Override, SERVER, SERVER_FILES, SITES, Set, Words,
};

const fn entry(
    name: &'static str,
    module: &'static str,
    syntax: &'static str,
    words: Words,
    allowed: Contexts,
    summary: &'static str,
    manual: &'static str,
) -> Directive {
    let overrides = match (allowed.covers(ANYWHERE), allowed.covers(HTACCESS)) {
        (true, _) => Override::Any,
        (false, true) => Override::Access,
        (false, false) => Override::None,
    };
    Directive {
        name,
        module,
        syntax,
        words,
        allowed,
        overrides,
        default: "",
        summary,
        manual,
        set: Set::Language,
    }
}

/// In sections of places and in `.htaccess`.
const IN_PLACES: Contexts = DIRECTORY.or(HTACCESS);
const ONE: Words = Words::exactly(1);
const PATTERN: Words = Words::Between(1, 2);

/// The directives of this file, by name.
pub const DIRECTIVES: &[Directive] = &[
    entry(
        "Define",
        "core",
        "name [value]",
        PATTERN,
        SERVER_FILES,
        "Define a name, and perhaps give it a value.",
        "The name holds for <IfDefine> from here on, in every file. Where ${name} stands in a later line, the value takes its \
place before the line is divided into words; put the reference in quotes if the value has spaces. A name that Define did not \
give a value is looked up in the environment. One that is not found there either stays as it is, with a warning. What is defined \
at the end of the server's files holds in .htaccess too, so that whoever writes there can read every value: a secret does not \
belong in Define. The environment is not looked at there, unlike in Apache.",
    ),
    entry(
        "<Directory>",
        "core",
        "[~] directory",
        PATTERN,
        SITES,
        "Hold the settings of a directory and of what is below it.",
        "Wildcards * and ? do not match a slash. With ~ the word is a regular expression, as in <DirectoryMatch>. Sections for \
directories apply from the shortest to the longest; then those with regular expressions, <Files>, and <Location>.",
    ),
    entry(
        "<DirectoryMatch>",
        "core",
        "regex",
        ONE,
        SITES,
        "Hold the settings of the directories that a regular expression matches.",
        "One with more slashes in its pattern applies later, as in Apache; of those with as many, the later one.",
    ),
    entry(
        "<Else>",
        "core",
        "",
        Words::Between(0, 0),
        ANYWHERE,
        "Hold the settings for when no <If> or <ElseIf> before it holds.",
        "",
    ),
    entry(
        "<ElseIf>",
        "core",
        "expression",
        Words::Raw,
        ANYWHERE,
        "Hold the settings for when no <If> or <ElseIf> before it holds, and the expression is true of the request.",
        "",
    ),
    entry(
        "Error",
        "core",
        "message",
        Words::Raw,
        ANYWHERE,
        "Refuse to start, with this message.",
        "It is of use inside of <IfModule> and the like.",
    ),
    entry(
        "<Files>",
        "core",
        "[~] name",
        PATTERN,
        ANYWHERE,
        "Hold the settings of the files of a name.",
        "The name is the last part of the path, and may have the wildcards * and ?. With ~ it is a regular expression. As in Apache \
the name of a directory is empty when it is asked for with its slash, so that * closes listings too, and its own without. A \
directory is not listed either to whom one of its index files would be refused, whether or not that is there. In another \
<Files> it is an error; in <If> it is not looked at.",
    ),
    entry(
        "<FilesMatch>",
        "core",
        "regex",
        ONE,
        ANYWHERE,
        "Hold the settings of the files whose name a regular expression matches.",
        "",
    ),
    entry(
        "<If>",
        "core",
        "expression",
        Words::Raw,
        ANYWHERE,
        "Hold the settings for when an expression is true of the request.",
        "These sections are the last to be merged, behind <Location>. They may stand in one another; those inside come after all \
that are not inside of one, wherever they stand.",
    ),
    entry(
        "<IfDefine>",
        "core",
        "[!]name",
        ONE,
        ANYWHERE,
        "Read what is inside only if a name is defined.",
        "Names are defined by Define and by the option -D; their case matters.",
    ),
    entry(
        "<IfDirective>",
        "core",
        "[!]directive",
        ONE,
        ANYWHERE,
        "Read what is inside only if there is such a directive.",
        "",
    ),
    entry(
        "<IfFile>",
        "core",
        "[!]file",
        ONE,
        ANYWHERE,
        "Read what is inside only if a file is there.",
        "A relative name is below ServerRoot.",
    ),
    entry(
        "<IfModule>",
        "core",
        "[!]module",
        ONE,
        ANYWHERE,
        "Read what is inside only if a module is there.",
        "The module is named by its file, as mod_alias.c, or by its identifier, as alias_module. The modules that are there are \
those whose directives lychgate has, whatever LoadModule says; the option -l lists them.",
    ),
    entry(
        "<IfSection>",
        "core",
        "[!]section",
        ONE,
        ANYWHERE,
        "Read what is inside only if there is such a section.",
        "",
    ),
    entry(
        "<IfVersion>",
        "mod_version",
        "[[!]operator] version",
        PATTERN,
        ANYWHERE,
        "Read what is inside only if the version is right.",
        "It is the version of Apache that lychgate stands in for. The operators are =, ==, >, >=, < and <=, and ~ for a regular \
expression; = takes one between slashes. Parts of the version that are left out are 0.",
    ),
    entry(
        "Include",
        "core",
        "file|directory|pattern",
        ONE,
        SERVER_FILES,
        "Read other files at this place.",
        "A relative name is below ServerRoot. A directory stands for every file in it and below it. A pattern has the wildcards \
*, ? and [...] in any of its parts, and must match something. Files are read in the order of their names. Sections end in the \
file they begin in.",
    ),
    entry(
        "IncludeOptional",
        "core",
        "file|directory|pattern",
        ONE,
        SERVER_FILES,
        "Read other files at this place, if there are any.",
        "",
    ),
    entry(
        "<Limit>",
        "core",
        "method ...",
        Words::AtLeast(1),
        IN_PLACES,
        "Hold access control for some methods only.",
        "GET means HEAD too. Other directives than those of access control hold for every method, as in Apache. A method that is not \
known is an error, and so is get; Apache takes it for a method of that name, so that GET is left as it was.",
    ),
    entry(
        "<LimitExcept>",
        "core",
        "method ...",
        Words::AtLeast(1),
        IN_PLACES,
        "Hold access control for all methods but some.",
        "",
    ),
    entry(
        "<Location>",
        "core",
        "[~] url-path",
        PATTERN,
        SITES,
        "Hold the settings of a part of the site, whatever files it comes from.",
        "The path matches whole segments, and may have the wildcards * and ?. With ~ it is a regular expression. Sections apply in \
the order of the file, after all others. It begins with a slash or *; Apache takes what does not, which then matches no request of \
a client for this server.",
    ),
    entry(
        "<LocationMatch>",
        "core",
        "regex",
        ONE,
        SITES,
        "Hold the settings of the URL paths that a regular expression matches.",
        "",
    ),
    entry(
        "<Macro>",
        "mod_macro",
        "name [parameter ...]",
        Words::AtLeast(1),
        SERVER_FILES,
        "Keep lines under a name, to be read by Use.",
        "Where a parameter occurs in the lines, the word that Use gives takes its place. Begin parameters with $ or %, or with @ to \
have the word put in quotes.",
    ),
    entry(
        "MacroIgnoreBadNesting",
        "mod_macro",
        "",
        Words::exactly(0),
        SERVER_FILES,
        "Do nothing: nesting inside of macros is not checked.",
        "",
    ),
    entry(
        "MacroIgnoreEmptyArgs",
        "mod_macro",
        "",
        Words::exactly(0),
        SERVER_FILES,
        "Do nothing: macros may have empty words.",
        "",
    ),
    entry(
        "ServerRoot",
        "core",
        "directory",
        ONE,
        SERVER,
        "Name the directory that relative file names are below.",
        "The option -d does the same for all that comes before.",
    ),
    entry(
        "UnDefine",
        "core",
        "name",
        ONE,
        SERVER_FILES,
        "Forget a name that was defined, and its value.",
        "",
    ),
    entry(
        "UndefMacro",
        "mod_macro",
        "name",
        ONE,
        SERVER_FILES,
        "Forget a macro.",
        "",
    ),
    entry(
        "Use",
        "mod_macro",
        "name [word ...]",
        Words::AtLeast(1),
        SERVER_FILES,
        "Read the lines of a macro at this place.",
        "",
    ),
    entry(
        "<VirtualHost>",
        "core",
        "address[:port] ...",
        Words::AtLeast(1),
        SERVER,
        "Hold the settings of a site.",
        "The address is an IP address (IPv6 in brackets), a name, * or _default_. A request is answered by the sites of the address \
it came to that are the most exact, and among these by the one whose ServerName or ServerAlias it names; if there is none, by \
one that has the address by this name, or else by the first. 0.0.0.0 and [::] stand for * in both families. Without a port it is for every port; in Apache an address other than * is then for the port alone that the main ServerName \
names, if it names one.",
    ),
    entry(
        "Warning",
        "core",
        "message",
        Words::Raw,
        ANYWHERE,
        "Say this message when the configuration is read.",
        "",
    ),
];
