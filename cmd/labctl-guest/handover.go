package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/labctl/labctl/internal/helper"
)

// handedOver is set for the program that is handed over to, so that two never hand over to one another for ever.
const handedOver = "LABCTL_GUEST_HANDED_OVER"

// handOver becomes the helper that labctl has uploaded, where that is the wanted build ("" for whichever is there) and not
// this one. The request is its standard input. It returns where there is nothing to hand over to.
func handOver(wanted, build string, request []byte) error {
	if os.Getenv(handedOver) != "" {
		return nil
	}
	program, err := os.Open(helper.UploadPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	there, err := helper.BuildID(program)
	if closeErr := program.Close(); err != nil || closeErr != nil {
		return errors.Join(err, closeErr)
	}
	if there == build || wanted != "" && there != wanted {
		return nil
	}
	if request != nil {
		if err := replaceInput(request); err != nil {
			return err
		}
	}
	args := append([]string{helper.UploadPath}, os.Args[1:]...)
	return syscall.Exec(helper.UploadPath, args, append(os.Environ(), handedOver+"=1"))
}

// replaceInput makes data what standard input holds.
func replaceInput(data []byte) error {
	fd, err := unix.MemfdCreate("request", 0)
	if err != nil {
		return err
	}
	memory := os.NewFile(uintptr(fd), "request")
	if _, err := memory.WriteAt(data, 0); err != nil {
		return err
	}
	return unix.Dup2(fd, 0)
}
