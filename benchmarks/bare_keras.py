"""The peer of bench_pipeline.py: load, fit, evaluate, save, in plain Keras."""

import sys

import keras


def main(folder: str, path: str) -> None:
    """Trains on `folder`/train, evaluates on `folder`/test, saves to `path`."""
    layers = keras.layers
    train, test = (
        keras.utils.image_dataset_from_directory(
            f"{folder}/{split}", color_mode="grayscale", image_size=(28, 28), batch_size=128
        ).map(lambda images, labels: (images / 255.0, labels))
        for split in ("train", "test")
    )
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train, epochs=1, verbose=0)
    print("accuracy", model.evaluate(test, verbose=0)[1])
    model.save(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
