module example.com/my-web-app

go 1.26
