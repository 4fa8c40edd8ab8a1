lab "x" {}
output "o" {
  value = jsonencod({})
}
