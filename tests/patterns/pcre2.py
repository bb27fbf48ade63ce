"""Asks PCRE2 as Apache does, which uses the same library: bytes, RegexDefaultOptions DOTALL DOLLAR_ENDONLY.

Each line of the standard input is a pattern, 1 for "ignore case" or 0, and texts, all but the second in hexadecimal digits, none
as "-". Each line of the answer is "refused", or the number of groups and for each text "none", "gave-up" or the groups, as
START:END, or "-" for one that took no part."""

import ctypes
import sys

CASELESS, DOLLAR_ENDONLY, DOTALL = 0x8, 0x10, 0x20
INFO_CAPTURECOUNT = 4
NO_MATCH = -1
UNSET = ctypes.c_size_t(-1).value

library = ctypes.CDLL("libpcre2-8.so.0")
size, pointer = ctypes.c_size_t, ctypes.c_void_p
library.pcre2_compile_8.restype = pointer
library.pcre2_compile_8.argtypes = [ctypes.c_char_p, size, ctypes.c_uint32, pointer, pointer, pointer]
library.pcre2_match_data_create_from_pattern_8.restype = pointer
library.pcre2_match_data_create_from_pattern_8.argtypes = [pointer, pointer]
library.pcre2_match_8.argtypes = [pointer, ctypes.c_char_p, size, size, ctypes.c_uint32, pointer, pointer]
library.pcre2_get_ovector_pointer_8.restype = ctypes.POINTER(size)
library.pcre2_get_ovector_pointer_8.argtypes = [pointer]
library.pcre2_pattern_info_8.argtypes = [pointer, ctypes.c_uint32, pointer]
library.pcre2_code_free_8.argtypes = [pointer]
library.pcre2_match_data_free_8.argtypes = [pointer]


def bytes_of(word):
    return b"" if word == "-" else bytes.fromhex(word)


def asked(pattern, ignores_case, texts):
    error, offset, groups = ctypes.c_int(), size(), ctypes.c_uint32()
    options = DOTALL | DOLLAR_ENDONLY | (CASELESS if ignores_case else 0)
    code = library.pcre2_compile_8(pattern, len(pattern), options, ctypes.byref(error), ctypes.byref(offset), None)
    if not code:
        return "refused"
    library.pcre2_pattern_info_8(code, INFO_CAPTURECOUNT, ctypes.byref(groups))
    found = library.pcre2_match_data_create_from_pattern_8(code, None)
    words = [str(groups.value + 1)]
    for text in texts:
        count = library.pcre2_match_8(code, text, len(text), 0, 0, found, None)
        ends = library.pcre2_get_ovector_pointer_8(found)
        if count < 0:
            words.append("none" if count == NO_MATCH else "gave-up")
            continue
        spans = [(ends[2 * group], ends[2 * group + 1]) if group < count else (UNSET, UNSET) for group in range(groups.value + 1)]
        words.append(",".join("-" if start == UNSET else f"{start}:{end}" for start, end in spans))
    library.pcre2_match_data_free_8(found)
    library.pcre2_code_free_8(code)
    return " ".join(words)


for line in sys.stdin:
    pattern, ignores_case, *texts = line.split()
    print(asked(bytes_of(pattern), ignores_case == "1", [bytes_of(text) for text in texts]))
