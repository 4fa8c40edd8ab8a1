lab "x" {}
vm "a" {
  boot {
    kernel = "/boot/vmlinuz"
  }
  disk "empty" {
  }
  disk "fixed" {
    size     = "1MiB"
    bus      = "sata"
    readonly = true
  }
  disk "both" {
    size      = "1MiB"
    shareable = true
  }
}
