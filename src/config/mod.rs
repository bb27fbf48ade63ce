//! Apache syntax to typed settings; the directive table; the manual pages made from it.
