lab "x" {}
bridge {
}
