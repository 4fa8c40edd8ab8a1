lab "x" {
  required_version = ">= 99"
}
